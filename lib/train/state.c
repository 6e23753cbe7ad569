#include "train/state.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "text/json.h"
#include "train/ckpt.h"

#define STATE_MAX ((size_t)16 << 20)
#define CKPT_PREFIX "checkpoint-"

/* 64-bit unsigned values that may pass int64 go as decimal strings. */
static struct ax_val *u64_val(struct ax_arena *a, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, v);
	return ax_val_str(a, text, strlen(text));
}

static bool u64_of(const struct ax_val *v, uint64_t *out)
{
	char text[24], *end;

	if (!v || v->type != AX_STR || v->n == 0 || v->n >= sizeof(text))
		return false;
	memcpy(text, v->u.s, v->n);
	text[v->n] = '\0';
	*out = strtoull(text, &end, 10);
	return *end == '\0' && text[0] >= '0' && text[0] <= '9';
}

/* What was not reached yet is left out. The names are those of transformers' TrainerState where it has the field. */
static bool put_best(struct ax_arena *a, struct ax_val *m, const struct ax_state *s, const char *dir)
{
	const struct ax_best *b = &s->best;
	char *path = b->ckpt >= 0 ? ax_ckpt_path(dir, b->ckpt) : NULL;
	bool ok = ax_val_set(a, m, "greater_is_better", ax_val_bool(a, b->greater)) &&
		  ax_val_set(a, m, "load_best_model_at_end", ax_val_bool(a, s->end_with_best)) &&
		  ax_val_set(a, m, "early_stopping_patience_counter", ax_val_int(a, b->worse));

	if (ok && b->step >= 0)
		ok = ax_val_set(a, m, "best_global_step", ax_val_int(a, b->step)) &&
		     ax_val_set(a, m, "best_metric", ax_val_float(a, b->metric));
	if (ok && b->ckpt >= 0)
		ok = path && ax_val_set(a, m, "best_model_checkpoint", ax_val_str(a, path, strlen(path))) &&
		     ax_val_set(a, m, "best_checkpoint_metric", ax_val_float(a, b->ckpt_metric));
	ax_free(path);
	return ok;
}

/* The step in a path that ends in checkpoint-STEP; -1 if it does not. */
static int64_t step_of_path(const struct ax_val *v)
{
	const char *p = v->u.s, *end = p + v->n, *slash;
	int64_t step = 0;

	while ((slash = memchr(p, '/', (size_t)(end - p))))
		p = slash + 1;
	if ((size_t)(end - p) <= strlen(CKPT_PREFIX) || memcmp(p, CKPT_PREFIX, strlen(CKPT_PREFIX)))
		return -1;
	for (p += strlen(CKPT_PREFIX); p < end; p++) {
		if (*p < '0' || *p > '9' || step > INT64_MAX / 10 - 1)
			return -1;
		step = 10 * step + (*p - '0');
	}
	return step;
}

/* False: damaged. Fields that are not there were not reached. */
static bool parse_best(struct ax_state *s, const struct ax_val *v)
{
	const struct ax_val *greater = ax_val_get(v, "greater_is_better"), *path = ax_val_get(v, "best_model_checkpoint");
	struct ax_best *b = &s->best;

	ax_best_init(b, ax_val_bool_or(greater, false));
	s->tracked = greater != NULL;
	if (!s->tracked)
		return true;
	s->end_with_best = ax_val_bool_or(ax_val_get(v, "load_best_model_at_end"), false);
	b->worse = ax_val_int_or(ax_val_get(v, "early_stopping_patience_counter"), -1);
	if (ax_val_get(v, "best_global_step")) {
		b->step = ax_val_int_or(ax_val_get(v, "best_global_step"), -1);
		b->metric = ax_val_num_or(ax_val_get(v, "best_metric"), NAN);
	}
	if (path) {
		b->ckpt = path->type == AX_STR ? step_of_path(path) : -1;
		b->ckpt_metric = ax_val_num_or(ax_val_get(v, "best_checkpoint_metric"), NAN);
	}
	return greater->type == AX_BOOL && b->worse >= 0 && b->step <= s->step && b->ckpt <= s->step &&
	       isfinite(b->metric) && isfinite(b->ckpt_metric) && (b->step >= 0 || !ax_val_get(v, "best_global_step")) &&
	       (b->ckpt >= 0 || !path);
}

struct ax_val *ax_state_val(struct ax_arena *a, const struct ax_state *s, const char *dir, const struct ax_val *keys)
{
	struct ax_val *m = ax_val_map(a), *sum = ax_val_list(a);
	bool ok = m && sum && ax_val_push(a, sum, u64_val(a, s->data.a)) && ax_val_push(a, sum, u64_val(a, s->data.b)) &&
		  ax_val_push(a, sum, u64_val(a, s->data.n)) &&
		  ax_val_set(a, m, "step", ax_val_int(a, s->step)) &&
		  ax_val_set(a, m, "total_steps", ax_val_int(a, s->total_steps)) &&
		  ax_val_set(a, m, "packs_consumed", ax_val_int(a, (int64_t)s->consumed)) &&
		  ax_val_set(a, m, "global_batch", ax_val_int(a, (int64_t)s->global_batch)) &&
		  ax_val_set(a, m, "seed", u64_val(a, s->seed)) &&
		  ax_val_set(a, m, "tokens_seen", ax_val_int(a, (int64_t)s->tokens)) &&
		  ax_val_set(a, m, "trained_tokens_seen", ax_val_int(a, (int64_t)s->trained_tokens)) &&
		  ax_val_set(a, m, "packs", ax_val_int(a, (int64_t)s->n_pack)) && ax_val_set(a, m, "data_sum", sum);

	if (ok && s->tracked)
		ok = put_best(a, m, s, dir);
	if (ok && keys)
		ok = ax_val_set(a, m, "keys", ax_val_copy(a, keys));
	return ok ? m : NULL;
}

int ax_state_parse(struct ax_state *s, const struct ax_val *v, struct ax_err *e)
{
	const struct ax_val *sum = ax_val_get(v, "data_sum");
	int64_t consumed = ax_val_int_or(ax_val_get(v, "packs_consumed"), -1);
	int64_t batch = ax_val_int_or(ax_val_get(v, "global_batch"), -1), packs = ax_val_int_or(ax_val_get(v, "packs"), -1);

	memset(s, 0, sizeof(*s));
	s->step = ax_val_int_or(ax_val_get(v, "step"), -1);
	s->total_steps = ax_val_int_or(ax_val_get(v, "total_steps"), -1);
	if (s->step < 0 || consumed < 0 || batch < 1 || packs < 1 || !u64_of(ax_val_get(v, "seed"), &s->seed) ||
	    !u64_of(ax_val_at(sum, 0), &s->data.a) || !u64_of(ax_val_at(sum, 1), &s->data.b) ||
	    !u64_of(ax_val_at(sum, 2), &s->data.n) || !parse_best(s, v))
		return ax_fail(e, AX_EDATA, "trainer state is damaged: a field is missing or of the wrong type");
	s->consumed = (uint64_t)consumed;
	s->global_batch = (uint64_t)batch;
	s->n_pack = (uint64_t)packs;
	s->tokens = (uint64_t)ax_val_int_or(ax_val_get(v, "tokens_seen"), 0);
	s->trained_tokens = (uint64_t)ax_val_int_or(ax_val_get(v, "trained_tokens_seen"), 0);
	return 0;
}

int ax_state_read(struct ax_state *s, const char *path, struct ax_err *e)
{
	char *file = ax_path_join(path, AX_CKPT_STATE);
	struct ax_arena a;
	struct ax_val *v;
	int rc;

	ax_arena_init(&a, 0);
	rc = file ? ax_json_file(&a, file, STATE_MAX, &v, e) : ax_fail(e, AX_EMEM, "out of memory");
	if (!rc) {
		rc = ax_state_parse(s, v, e);
		if (rc)
			ax_err_prefix(e, "%s: ", file);
	}
	ax_arena_release(&a);
	ax_free(file);
	return rc;
}

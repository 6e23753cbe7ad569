/* Is this configuration one that the tool can do? Statuses of keys, and of values where those differ within a key. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "conf/inner.h"

/* A value that asks for nothing: unset, off, empty, or what the default says. */
static bool is_off(const struct ax_conf *c, const struct ax_key *k, const struct ax_val *v)
{
	switch (v->type) {
	case AX_NULL:
		return true;
	case AX_BOOL:
		if (!v->u.b)
			return true;
		break;
	case AX_INT:
		if (v->u.i == 0)
			return true;
		break;
	case AX_FLOAT:
		if (v->u.f == 0)
			return true;
		break;
	case AX_STR:
	case AX_LIST:
	case AX_MAP:
		if (v->n == 0)
			return true;
		break;
	}
	return ax_val_equal(v, ax_val_get(c->dflt, k->name));
}

const char *ax_conf_where(const struct ax_conf *c, const char *name, char buf[512])
{
	const struct ax_val *v = ax_val_path(c->file, name);

	if (!ax_val_path(c->cli, name) && v) {
		snprintf(buf, 512, "%s:%u: %s", c->config_path ? c->config_path : "configuration", v->line, name);
		return buf;
	}
	if (!ax_val_path(c->cli, name)) {
		snprintf(buf, 512, "%s", name);
		return buf;
	}
	snprintf(buf, 512, "--%s", name);
	for (char *p = buf; *p; p++)
		*p = *p == '_' ? '-' : *p;
	return buf;
}

static bool in_words(const char *list, const struct ax_val *v)
{
	for (const char *p = list; *p;) {
		size_t n = strcspn(p, " ");

		if (v->n == n && memcmp(v->u.s, p, n) == 0)
			return true;
		p += n + strspn(p + n, " ");
	}
	return false;
}

static int check_optimizer(const struct ax_conf *c, struct ax_err *e)
{
	static const char exact[] = "adamw_torch adamw_torch_fused adamw_torch_xla adamw_hf adamw";
	static const char small[] =
	    "adamw_8bit adamw_bnb_8bit paged_adamw paged_adamw_8bit paged_adamw_32bit adamw_torch_8bit "
	    "adamw_torch_4bit adamw_anyprecision ao_adamw_8bit ao_adamw_4bit ao_adamw_fp8";
	const struct ax_val *v = ax_conf_get(c, "optimizer");
	char at[512];

	if (v->type != AX_STR || in_words(exact, v))
		return 0;
	if (in_words(small, v)) {
		if (!ax_conf_own_option(c->spec, "moments") || !ax_conf_opt_given(c, "moments"))
			ax_info("%s: %.*s: runs as AdamW with fp32 moments, 8 bytes a parameter (--moments 8bit: 2)",
				ax_conf_where(c, "optimizer", at), (int)v->n, v->u.s);
		return 0;
	}
	return ax_fail(e, AX_EUSAGE, "%s: %.*s is not built: adamw_torch and its 8-bit and paged forms are",
		       ax_conf_where(c, "optimizer", at), (int)v->n, v->u.s);
}

/* ax-train knows the schedules and names an unknown one; these depend on the loss. */
static int check_schedule(const struct ax_conf *c, struct ax_err *e)
{
	const struct ax_val *v = ax_conf_get(c, "lr_scheduler");
	char at[512];

	if (!ax_val_is(v, "reduce_lr_on_plateau") && !ax_val_is(v, "greedy"))
		return 0;
	return ax_fail(e, AX_EUSAGE, "%s: %.*s is not built: it depends on the loss", ax_conf_where(c, "lr_scheduler", at),
		       (int)v->n, v->u.s);
}

static int check_strategies(const struct ax_conf *c, struct ax_err *e)
{
	static const char *const block[] = {"optimizer", "scheduler"};
	const struct ax_val *ds = ax_conf_get(c, "deepspeed");
	char at[512];

	for (size_t i = 0; i < 2; i++)
		if (ax_val_get(ds, block[i]))
			return ax_fail(e, AX_EUSAGE,
				       "%s: has a block \"%s\": say it with the keys of the configuration",
				       ax_conf_where(c, "deepspeed", at), block[i]);
	return 0;
}

/* Integrations that bring kernels only; what each of the others does is refused by its own key. */
static int check_plugins(const struct ax_conf *c, struct ax_err *e)
{
	static const char *const known[] = {
	    "liger", "cut_cross_entropy", "kernels", "expert_parallel", "context_parallel", "lm_eval", "swanlab"};
	const struct ax_val *list = ax_conf_get(c, "plugins");
	char at[512];

	for (size_t i = 0; i < ax_val_len(list); i++) {
		const struct ax_val *v = ax_val_at(list, i);
		bool ok = false;

		for (size_t j = 0; v->type == AX_STR && !ok && j < sizeof(known) / sizeof(*known); j++) {
			size_t n = strlen(known[j]);

			for (size_t k = 0; !ok && k + n + 2 <= v->n; k++)
				ok = v->u.s[k] == '.' && memcmp(v->u.s + k + 1, known[j], n) == 0 &&
				     v->u.s[k + 1 + n] == '.';
		}
		if (!ok)
			return ax_fail(e, AX_EUSAGE, "%s: %.*s is not supported: ax runs no Python",
				       ax_conf_where(c, "plugins", at), (int)v->n, v->u.s);
	}
	return 0;
}

static int check_exclusive(const struct ax_conf *c, struct ax_err *e)
{
	static const char *const pair[][3] = {
	    {"save_steps", "saves_per_epoch", "say how often to save in one way"},
	    {"eval_steps", "evals_per_epoch", "say how often to evaluate in one way"},
	    {"warmup_steps", "warmup_ratio", "say how long to warm up in one way"},
	    {"deepspeed", "fsdp_config", "shard in one way"},
	    {"test_datasets", "val_set_size", "evaluation rows come from one place"},
	    {"datasets", "pretraining_dataset", "train on one of the two"},
	};

	for (size_t i = 0; i < sizeof(pair) / sizeof(*pair); i++) {
		const struct ax_key *k0 = ax_key_find(pair[i][0], strlen(pair[i][0]));
		const struct ax_key *k1 = ax_key_find(pair[i][1], strlen(pair[i][1]));
		const struct ax_val *a = ax_val_get(c->val, pair[i][0]), *b = ax_val_get(c->val, pair[i][1]);

		if (!(k0->tools & (unsigned)c->spec->tool) || !a || !b || is_off(c, k0, a) || is_off(c, k1, b))
			continue;
		if (ax_conf_is_set(c, pair[i][0]) && ax_conf_is_set(c, pair[i][1]))
			return ax_fail(e, AX_EUSAGE, "%s and %s are both set: %s", pair[i][0], pair[i][1], pair[i][2]);
	}
	return 0;
}

static int check_row(const struct ax_conf *c, const struct ax_key *k, struct ax_err *e)
{
	const struct ax_val *v = ax_val_path(c->val, k->name);
	char at[512];

	if (ax_val_is_null(v) || !ax_conf_is_set(c, k->name) || is_off(c, k, v))
		return 0;
	if (k->status == AX_KEY_REFUSED)
		return ax_fail(e, AX_EUSAGE, "%s: refused: %s", ax_conf_where(c, k->name, at), k->reason);
	if (k->status == AX_KEY_SIDE)
		ax_warn("%s: %s", ax_conf_where(c, k->name, at), k->reason);
	if (k->status == AX_KEY_EXACT)
		ax_info("%s: %s", ax_conf_where(c, k->name, at), k->reason);
	return 0;
}

/* The same for the keys of each entry of the data lists. */
static int check_entries(const struct ax_conf *c, struct ax_err *e)
{
	static const char *const list[] = {"datasets", "test_datasets", "pretraining_dataset"};

	for (size_t i = 0; i < 3; i++)
		for (size_t j = 0; j < ax_val_len(ax_val_get(c->val, list[i])); j++) {
			const struct ax_val *entry = ax_val_at(ax_val_get(c->val, list[i]), j);

			for (size_t n = 0; entry->type == AX_MAP && n < entry->n; n++) {
				const struct ax_pair *p = &entry->u.pair[n];
				char name[128];

				snprintf(name, sizeof(name), "datasets[].%s", p->key);
				const struct ax_key *k = ax_key_find(name, strlen(name));

				if (k && k->status == AX_KEY_REFUSED && k->tools & (unsigned)c->spec->tool &&
				    !is_off(c, k, p->val))
					return ax_fail(e, AX_EUSAGE, "%s[%zu].%s (line %u): refused: %s", list[i], j,
						       p->key, p->val->line, k->reason);
			}
		}
	return 0;
}

/* Some runs of ax-train compute no update: they need no learning rate. */
static bool needs(struct ax_conf *c, const struct ax_key *k)
{
	static const char *const without[] = {"plan", "eval-only"};

	if (!(k->required & (unsigned)c->spec->tool))
		return false;
	for (size_t i = 0; i < 2; i++)
		if (strcmp(k->name, "learning_rate") == 0 && ax_conf_own_option(c->spec, without[i]) &&
		    ax_conf_opt_flag(c, without[i]))
			return false;
	return true;
}

int ax_conf_check(struct ax_conf *c, struct ax_err *e)
{
	unsigned tool = (unsigned)c->spec->tool;

	AX_TRY(ax_conf_check_indexes(c, e));
	for (const struct ax_key_group *g = ax_key_groups; g->title; g++)
		for (const struct ax_key *k = g->row; k->name; k++) {
			if (!(k->tools & tool) || strstr(k->name, "[]"))
				continue;
			AX_TRY(check_row(c, k, e));
			if (needs(c, k))
				AX_TRY(ax_conf_require(c, k->name, e));
		}
	AX_TRY(check_exclusive(c, e));
	if (tool & AX_TOOL_TOKENIZE)
		AX_TRY(check_entries(c, e));
	if (!(tool & AX_TOOL_TRAIN))
		return 0;
	AX_TRY(check_optimizer(c, e));
	AX_TRY(check_schedule(c, e));
	AX_TRY(check_strategies(c, e));
	AX_TRY(ax_conf_check_save(c, e));
	return check_plugins(c, e);
}

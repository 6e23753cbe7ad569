/* The shard folder of a run, and the settings that travel in it. */
#include <string.h>

#include "base/log.h"
#include "fmt/stream.h"
#include "text/json.h"
#include "tool.h"

/* Keys about which a run may differ from the shards: which model, and what the seed decides in each tool. */
static bool is_own_key(const struct ax_val *keys, const char *key, const struct ax_val *v)
{
	if (!strcmp(key, "base_model_config") || !strcmp(key, "tokenizer_config")) /* where they only repeat base_model */
		return ax_val_equal(v, ax_val_get(keys, "base_model"));
	return !strcmp(key, "seed");
}

/* The resolved value of a key that this run gives: the shards hold resolved values too. */
static const struct ax_val *set_here(const struct tool *t, const char *key)
{
	bool given = ax_val_get(t->conf.cli, key) || ax_val_get(t->conf.file, key);

	return given ? ax_val_get(t->conf.val, key) : NULL;
}

/* One warning with both values; then the shards win: they are what is trained on. */
static void prefer_shards(struct tool *t, const char *key, const struct ax_val *here, const struct ax_val *there)
{
	struct ax_buf b = AX_BUF_INIT;

	ax_buf_addf(&b, "%s: ", key);
	ax_json_write(&b, here, AX_JSON_SPACED);
	ax_buf_adds(&b, " here, ");
	ax_json_write(&b, there, AX_JSON_SPACED);
	ax_buf_adds(&b, " in the shards, which win");
	if (!b.oom && t->comm->rank == 0)
		ax_warn("%s", b.p);
	ax_buf_release(&b);
	ax_val_remove(t->conf.cli, key);
	ax_val_remove(t->conf.file, key);
}

/*
 * Data keys travel in the shards. The model is this run's own: its tokenizer is compared with the shards' by content, in
 * model.c.
 */
static int adopt_header(struct tool *t, struct ax_err *e)
{
	const struct ax_val *keys = ax_val_get(ax_loader_shards(t->loader)->header, "keys");
	struct ax_val *adopted = ax_val_map(&t->conf.arena);
	bool ok = adopted != NULL;

	for (size_t i = 0; i < ax_val_len(keys) && ok; i++) {
		const struct ax_pair *p = &keys->u.pair[i];
		const struct ax_val *here = set_here(t, p->key);

		if (is_own_key(keys, p->key, p->val) || (here && !strcmp(p->key, "base_model")))
			continue;
		if (!ax_val_is_null(here) && !ax_val_equal(here, p->val))
			prefer_shards(t, p->key, here, p->val);
		ok = ax_val_set(&t->conf.arena, adopted, p->key, p->val);
	}
	return ok ? ax_conf_header(&t->conf, adopted, e) : ax_fail(e, AX_EMEM, "out of memory");
}

/* A configuration that cannot be is said first, even if the shards are not there either. */
static int open_folder(struct tool *t, struct ax_err *e)
{
	int rc = ax_loader_open(&t->loader, t->conf.operand[0], e);
	struct ax_err bad;

	if (rc && ax_conf_check(&t->conf, &bad)) {
		*e = bad;
		return bad.code;
	}
	return rc;
}

int64_t tool_sequence_len(struct tool *t)
{
	return t->loader ? (int64_t)ax_loader_shards(t->loader)->sequence_len : ax_conf_int(&t->conf, "sequence_len");
}

int tool_shards(struct tool *t, struct ax_err *e)
{
	AX_TRY(open_folder(t, e));
	return adopt_header(t, e);
}

#include <inttypes.h>

#include "base/log.h"
#include "shard.h"
#include "text/json.h"

struct flow {
	struct shard_job *job;
	struct ax_shards_writer w;
	struct ax_arena arena;
	struct ax_val *first; /* header of the first input */
	struct ax_inputs inputs;
	struct ax_progress progress;
	bool open;
};

static int start(struct flow *f, const struct ax_val *header, struct ax_err *e)
{
	const struct shard_job *j = f->job;
	struct ax_val *h = ax_header_derive(&f->arena, header, "shards");

	f->first = ax_val_copy(&f->arena, header);
	if (!f->first || !h || !ax_header_provenance(&f->arena, h, j->provenance, "ax-shard", j->argc, j->argv, NULL))
		return ax_fail(e, AX_EMEM, "out of memory");
	f->open = true;
	return ax_shards_writer_open(&f->w, j->dir, h, (uint32_t)j->ranks, (int)j->level, j->force, e);
}

static int copy_packs(struct flow *f, struct ax_pack_reader *r, struct ax_err *e)
{
	struct ax_pack p;
	bool end = false;

	for (;;) {
		AX_TRY(ax_pack_reader_next(r, &p, &end, e));
		if (end)
			return 0;
		AX_TRY(ax_shards_write(&f->w, &p, e));
		if (ax_progress_due(&f->progress))
			ax_progress_print(&f->progress, "%" PRIu64 " packs", f->w.n_pack[0] + f->w.n_pack[1]);
	}
}

static int add_input(struct flow *f, const char *path, shard_settle *settle, void *ctx, struct ax_err *e)
{
	struct ax_pack_reader r;
	int rc;

	AX_TRY(ax_pack_reader_open(&r, path, e));
	r.s.inputs = &f->inputs;
	if (!f->first) {
		rc = settle(ctx, r.s.header, e);
		if (!rc)
			rc = start(f, r.s.header, e);
	} else {
		rc = ax_header_same(f->first, r.s.header, e);
		if (rc)
			ax_err_prefix(e, "%s: ", r.s.in.path);
	}
	if (!rc)
		rc = copy_packs(f, &r, e);
	if (!rc)
		ax_totals_add(&f->job->in, &r.s.totals);
	ax_pack_reader_close(&r);
	return rc;
}

/* What is in the shards is what was read; only then the folder appears. */
static int verify(void *ctx, const struct ax_totals *out, struct ax_err *e)
{
	const struct shard_job *j = ctx;

	if (!ax_totals_match(out, &j->in, e))
		return 0;
	ax_err_prefix(e, "%s: not written, the shards do not hold what was read: ", j->dir);
	return AX_ECHECK;
}

int shard_run(struct shard_job *j, shard_settle *settle, void *ctx, struct ax_err *e)
{
	struct flow f = {.job = j};
	int rc = 0;

	ax_arena_init(&f.arena, 0);
	ax_inputs_init(&f.inputs);
	ax_progress_init(&f.progress, 30);
	for (size_t i = 0; i < j->n_input && !rc; i++)
		rc = add_input(&f, j->input[i], settle, ctx, e);
	if (!rc && j->provenance) {
		f.w.trailer = ax_inputs_trailer(&f.inputs, &f.arena);
		rc = f.w.trailer ? 0 : ax_fail(e, AX_EMEM, "out of memory");
	}
	if (!rc)
		rc = ax_shards_writer_finish(&f.w, &j->in, verify, j, e);
	ax_progress_done(&f.progress);
	j->out = f.w.totals;
	j->sequence_len = f.w.sequence_len;
	if (f.open)
		ax_shards_writer_release(&f.w);
	ax_inputs_release(&f.inputs);
	ax_arena_release(&f.arena);
	return rc;
}

void shard_report(const struct shard_job *j)
{
	for (int k = 0; k < AX_N_SPLIT; k++) {
		const struct ax_split_totals *s = &j->out.split[k];

		if (s->packs)
			ax_info("%s: %" PRIu64 " packs, %" PRIu64 " rows, %" PRIu64 " tokens, %" PRIu64 " trained",
				ax_split_name(k), s->packs, s->rows, s->tokens, s->trained);
	}
	ax_info("wrote %s, %lld file%s", j->dir, (long long)j->ranks, j->ranks > 1 ? "s" : "");
}

int shard_report_json(const struct shard_job *j, const char *path, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_arena a;
	struct ax_val *m, *t;
	bool ok;
	int rc;

	ax_arena_init(&a, 0);
	m = ax_val_map(&a);
	t = ax_totals_val(&a, &j->out);
	ok = m && t && ax_val_set(&a, m, "schema", ax_val_int(&a, 1)) &&
	     ax_val_set(&a, m, "shards", ax_val_int(&a, j->ranks)) &&
	     ax_val_set(&a, m, "sequence_len", ax_val_int(&a, j->sequence_len)) && ax_val_set(&a, m, "totals", t);
	if (ok)
		ax_json_write(&b, m, AX_JSON_INDENT2);
	ax_buf_addc(&b, '\n');
	rc = ok && !b.oom ? ax_write_file(path, b.p, b.n, e) : ax_fail(e, AX_EMEM, "out of memory");
	ax_buf_release(&b);
	ax_arena_release(&a);
	return rc;
}

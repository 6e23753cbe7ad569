#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "pack.h"

struct flow {
	struct pack_job *job;
	struct ax_arena arena;
	struct ax_stream in;
	struct ax_val *first; /* header of the first stream */
	struct ax_out out;
	struct ax_pack_writer w;
	struct ax_packer *packer;
	struct ax_inputs inputs;
	struct ax_progress progress;
	bool w_open;
};

static int to_writer(void *ctx, const struct ax_row *row, uint32_t n, struct ax_err *e)
{
	struct flow *f = ctx;

	return ax_pack_write(&f->w, row, n, e);
}

/* A switch that the keys already hold, or that is off against its default, takes the value in force. */
static bool put_switch(struct ax_arena *a, struct ax_val *keys, const char *key, bool on)
{
	return (on && !ax_val_get(keys, key)) || ax_val_set(a, keys, key, ax_val_bool(a, on));
}

/* The settings in the header are those in force now: later tools read them there. */
static bool put_keys(struct ax_arena *a, struct ax_val *h, const struct ax_packer_opt *o)
{
	const struct ax_val *old = ax_val_get(h, "keys");
	struct ax_val *keys = old && old->type == AX_MAP ? ax_val_copy(a, old) : ax_val_map(a);

	return keys && ax_val_set(a, keys, "sequence_len", ax_val_int(a, o->capacity)) &&
	       put_switch(a, keys, "sample_packing", !o->single[AX_SPLIT_TRAIN]) &&
	       put_switch(a, keys, "eval_sample_packing", !o->single[AX_SPLIT_EVAL]) && ax_val_set(a, h, "keys", keys);
}

/* The output's header: the input's, with the length of the packs. */
static int make_header(struct flow *f, struct ax_val **out, struct ax_err *e)
{
	static const char *const overflow[] = {"error", "drop", "truncate", "split"};
	const struct pack_job *j = f->job;
	struct ax_arena *a = &f->arena;
	struct ax_val *h = ax_header_derive(a, f->first, "packs"), *how = ax_val_map(a);
	const char *o = overflow[j->opt.overflow];
	bool ok = h && how;

	ok = ok && ax_val_set(a, h, "sequence_len", ax_val_int(a, j->opt.capacity));
	ok = ok && ax_val_set(a, how, "window", ax_val_int(a, j->opt.window));
	ok = ok && ax_val_set(a, how, "overflow", ax_val_str(a, o, strlen(o)));
	ok = ok && ax_val_set(a, h, "pack", how) && put_keys(a, h, &j->opt);
	ok = ok && ax_header_provenance(a, h, j->provenance, "ax-pack", j->argc, j->argv, NULL);
	*out = h;
	return ok ? 0 : ax_fail(e, AX_EMEM, "out of memory");
}

/* The first stream decides the settings; the output begins. */
static int start(struct flow *f, pack_settle *settle, void *ctx, struct ax_err *e)
{
	struct pack_job *j = f->job;
	struct ax_val *h;

	f->first = ax_val_copy(&f->arena, f->in.header);
	if (!f->first)
		return ax_fail(e, AX_EMEM, "out of memory");
	AX_TRY(settle(ctx, j, f->first, e));
	AX_TRY(make_header(f, &h, e));
	AX_TRY(ax_out_open(&f->out, j->output, j->tty ? AX_OUT_TTY : 0, e));
	f->w_open = true;
	AX_TRY(ax_pack_writer_open(&f->w, &f->out, h, j->level, e));
	return ax_packer_new(&f->packer, &j->opt, to_writer, f, e);
}

static void show(struct flow *f)
{
	const struct ax_packer_stats *t = ax_packer_stats(f->packer, 0), *v = ax_packer_stats(f->packer, 1);
	uint64_t rows = t->rows + v->rows, tokens = t->tokens + v->tokens;
	double s = ax_now() - f->progress.start;

	ax_progress_print(&f->progress, "%" PRIu64 " rows, %.1f M tokens, %" PRIu64 " packs, %.1f M tokens/s", rows,
			  (double)tokens * 1e-6, t->packs + v->packs, (double)tokens * 1e-6 / (s > 0 ? s : 1));
}

static int pack_rows(struct flow *f, struct ax_err *e)
{
	struct ax_row r;
	bool end = false;

	for (;;) {
		AX_TRY(ax_stream_next(&f->in, &r, &end, e));
		if (end)
			return 0;
		if (ax_packer_add(f->packer, &r, e)) {
			if (e->code == AX_EDATA)
				ax_err_prefix(e, "%s: ", f->in.in.path);
			return e->code;
		}
		if (ax_progress_due(&f->progress))
			show(f);
	}
}

static int pack_input(struct flow *f, const char *path, pack_settle *settle, void *ctx, struct ax_err *e)
{
	int rc = ax_stream_open(&f->in, path, e);

	if (rc)
		return rc;
	f->in.inputs = &f->inputs;
	if (!f->first) {
		rc = start(f, settle, ctx, e);
	} else {
		rc = ax_header_same(f->first, f->in.header, e);
		if (rc)
			ax_err_prefix(e, "%s: ", f->in.in.path);
	}
	if (!rc)
		rc = pack_rows(f, e);
	if (!rc)
		ax_totals_add(&f->job->in, &f->in.totals);
	ax_stream_close(&f->in);
	return rc;
}

/* What came out is what went in: every row once, unless --overflow changed rows, which it counted. */
static int verify(const struct pack_job *j, struct ax_err *e)
{
	uint64_t changed = 0;

	for (int k = 0; k < AX_N_SPLIT; k++)
		for (uint32_t i = 0; i < j->packed.split[k].n_reason; i++)
			changed += j->packed.split[k].reason[i].dropped + j->packed.split[k].reason[i].truncated;
	if (!ax_sum_equal(&j->packed.sum, &j->out.sum))
		return ax_fail(e, AX_ECHECK, "the packs do not hold the rows that were read: nothing was written");
	if (!changed && !ax_sum_equal(&j->in.sum, &j->packed.sum))
		return ax_fail(e, AX_ECHECK, "rows were lost while packing: nothing was written");
	return 0;
}

/* What was read, and which rows were dropped or cut, for the trailer; NULL: no memory. */
static struct ax_val *completion(struct flow *f)
{
	const struct ax_drops *named = ax_packer_named(f->packer);
	struct ax_val *v = ax_inputs_trailer(&f->inputs, &f->arena), *drops = ax_drops_val(&f->arena, named);
	struct ax_val *list = v ? (struct ax_val *)(uintptr_t)ax_val_get(v, "provenance") : NULL;

	if (!list || !drops)
		return NULL;
	return !named->n || ax_val_set(&f->arena, list->u.item[list->n - 1], "drops", drops) ? v : NULL;
}

static int finish(struct flow *f, struct ax_err *e)
{
	struct pack_job *j = f->job;
	struct ax_val *made_of = j->provenance ? completion(f) : NULL;
	struct ax_totals reasons;

	if (j->provenance && !made_of)
		return ax_fail(e, AX_EMEM, "out of memory");
	AX_TRY(ax_packer_finish(f->packer, e));
	for (int k = 0; k < AX_N_SPLIT; k++)
		j->stats[k] = *ax_packer_stats(f->packer, k);
	j->packed = *ax_packer_drops(f->packer);
	j->out = f->w.s.totals;
	AX_TRY(verify(j, e));
	reasons = j->in;
	ax_totals_reasons_only(&reasons);
	ax_totals_add(&reasons, &j->packed); /* finish takes the reasons alone */
	AX_TRY(ax_pack_writer_finish(&f->w, &reasons, made_of, e));
	return ax_out_commit(&f->out, e);
}

int pack_run(struct pack_job *j, pack_settle *settle, void *ctx, struct ax_err *e)
{
	struct flow f = {.job = j};
	int rc = 0;

	ax_arena_init(&f.arena, 0);
	ax_inputs_init(&f.inputs);
	ax_progress_init(&f.progress, 30);
	for (size_t i = 0; i < j->n_input && !rc; i++)
		rc = pack_input(&f, j->input[i], settle, ctx, e);
	if (!rc)
		rc = finish(&f, e);
	ax_progress_done(&f.progress);
	ax_packer_free(f.packer);
	if (f.w_open) {
		ax_pack_writer_release(&f.w);
		ax_out_abort(&f.out);
	}
	ax_inputs_release(&f.inputs);
	ax_arena_release(&f.arena);
	return rc;
}

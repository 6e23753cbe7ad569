/* Settings of the filters, from keys and options. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tokenize.h"

static int read_excess(struct tk_opt *o, struct ax_conf *c, struct ax_err *e)
{
	const char *s = ax_conf_str(c, "excess_length_strategy");

	o->excess = TK_DROP;
	if (s && !strcmp(s, "truncate"))
		o->excess = TK_TRUNCATE;
	else if (s && !strcmp(s, "raise"))
		o->excess = TK_RAISE;
	else if (s && strcmp(s, "drop"))
		return ax_fail(e, AX_EUSAGE, "excess_length_strategy: drop, truncate or raise");
	return 0;
}

/* --max-bad N or P% */
static int read_max_bad(struct tk_opt *o, struct ax_conf *c, struct ax_err *e)
{
	const char *s = ax_conf_opt_str(c, "max-bad");
	char *end;
	double v;

	o->max_bad = 0;
	if (!s)
		return 0;
	v = strtod(s, &end);
	if (end == s || !(v >= 0) || (strcmp(end, "") && strcmp(end, "%")) || (*end ? v > 100 : v != floor(v)) || v > 1e15)
		return ax_fail(e, AX_EUSAGE, "--max-bad: expected a number or a percentage, not \"%s\"", s);
	if (*end) {
		o->max_bad = UINT64_MAX;
		o->max_bad_share = v / 100;
	} else {
		o->max_bad = (uint64_t)v;
	}
	return 0;
}

static int read_val_size(struct tk_opt *o, struct ax_conf *c, struct ax_err *e)
{
	double v = ax_conf_num(c, "val_set_size");

	if (v > 0 && ax_val_len(ax_conf_get(c, "test_datasets")))
		return ax_fail(e, AX_EUSAGE, "val_set_size and test_datasets exclude each other");
	if (v >= 1 && (v != floor(v) || v > 1e15))
		return ax_fail(e, AX_EUSAGE, "val_set_size: expected a share below 1 or a whole number of rows, got %g", v);
	o->eval_share = v < 1 ? v : 0;
	o->eval_count = v < 1 ? 0 : (uint64_t)v;
	return 0;
}

int tk_shard_read(int64_t n, int64_t at, const char *what, uint64_t *shards, uint64_t *shard, struct ax_err *e)
{
	if (n < 1 || at < 0 || at >= n)
		return ax_fail(e, AX_EUSAGE, "%s: part %lld of %lld does not exist; parts count from 0", what, (long long)at,
			       (long long)n);
	*shards = (uint64_t)n;
	*shard = (uint64_t)at;
	return 0;
}

static int read_shard(struct tk_opt *o, struct ax_conf *c, struct ax_err *e)
{
	bool num = ax_conf_is_set(c, "dataset_shard_num"), idx = ax_conf_is_set(c, "dataset_shard_idx");

	if (num != idx)
		return ax_fail(e, AX_EUSAGE, "dataset_shard_num and dataset_shard_idx go together");
	return tk_shard_read(num ? ax_conf_int(c, "dataset_shard_num") : 1, num ? ax_conf_int(c, "dataset_shard_idx") : 0,
			     "dataset_shard_idx", &o->shards, &o->shard, e);
}

int tk_opt_read(struct tk_opt *o, struct ax_conf *c, struct ax_err *e)
{
	const char *mask = ax_conf_opt_str(c, "mask");

	memset(o, 0, sizeof(*o));
	if (mask && strcmp(mask, "exact") && strcmp(mask, "axolotl"))
		return ax_fail(e, AX_EUSAGE, "--mask: exact or axolotl, not \"%s\"", mask);
	o->sequence_len = (uint32_t)ax_conf_int(c, "sequence_len");
	o->eval_sequence_len =
	    ax_conf_is_set(c, "eval_sequence_len") ? (uint32_t)ax_conf_int(c, "eval_sequence_len") : o->sequence_len;
	o->min_len = ax_conf_is_set(c, "min_sample_len") ? (uint32_t)ax_conf_int(c, "min_sample_len") : 2;
	o->min_len = o->min_len ? o->min_len : 2;
	o->print = ax_conf_opt_flag(c, "print");
	o->all = ax_conf_opt_flag(c, "all");
	o->dedup = ax_conf_bool(c, "dataset_exact_deduplication");
	o->shuffle = ax_conf_bool(c, "shuffle_merged_datasets") && !ax_conf_bool(c, "curriculum_sampling");
	o->rejects = ax_conf_opt_str(c, "rejects");
	o->compress = (int)ax_conf_opt_int(c, "compress", 1);
	if (o->compress < 0 || o->compress > 19)
		return ax_fail(e, AX_EUSAGE, "--compress %d; 0 to 19 are possible", o->compress);
	AX_TRY(read_shard(o, c, e));
	AX_TRY(read_excess(o, c, e));
	AX_TRY(read_max_bad(o, c, e));
	return read_val_size(o, c, e);
}

/* ax-tokenize: data files and a model folder -> token stream with loss mask and split. */
#include <stdio.h>
#include <string.h>

#include "base/sig.h"
#include "tokenize.h"

static const struct ax_opt options[] = {
    {"output", 'o', AX_OPT_STR, "FILE", "-", "write the token stream there; - is stdout"},
    {"model", 'm', AX_OPT_STR, "DIR", NULL, "model folder or Hub name: the tokenizer (the key base_model)"},
    {"type", 't', AX_OPT_STR, "TYPE", NULL, "kind of row of the files named: chat_template, alpaca, completion, ..."},
    {"mask", 0, AX_OPT_STR, "MODE", "exact", "loss mask of conversations: exact, or axolotl for its own rules"},
    {"mask-diff", 0, AX_OPT_FLAG, NULL, NULL, "list where the masks exact and axolotl differ, and why; exit 1 if any do"},
    {"no-inject", 0, AX_OPT_FLAG, NULL, NULL, "text of the data never forms special tokens; says which rows hold any"},
    {"now", 0, AX_OPT_STR, "TIME", NULL, "date that templates see, such as 2025-07-10T12:00:00; default: the clock"},
    {"max-bad", 0, AX_OPT_STR, "N|P%", "0", "go on after malformed rows, up to so many"},
    {"rejects", 0, AX_OPT_STR, "FILE", NULL, "list every dropped row: file, line, reason, detail"},
    {"compress", 0, AX_OPT_INT, "LEVEL", "1", "zstd level of the stream, 1 to 19; 0: none"},
    {"print", 'p', AX_OPT_FLAG, NULL, NULL, "print rows as JSON in input order instead of a stream"},
    {"all", 'a', AX_OPT_FLAG, NULL, NULL, "with --print: show the ids of dropped rows too"},
    {"encode", 0, AX_OPT_FLAG, NULL, NULL, "JSON strings in, arrays of ids out, a line each"},
    {"decode", 0, AX_OPT_FLAG, NULL, NULL, "arrays of ids in, JSON strings out, a line each"},
    {"no-special", 0, AX_OPT_FLAG, NULL, NULL, "with --encode: leave out what the tokenizer adds; with --decode: special tokens"},
    {"render", 0, AX_OPT_FLAG, NULL, NULL, "template variables in, rendered texts out, JSON a line each"},
    {"template", 0, AX_OPT_STR, "FILE", NULL, "with --render: the template, or a built-in one's name; default: the model's"},
};

static const struct ax_tool_spec spec = {
    .name = "ax-tokenize",
    .tool = AX_TOOL_TOKENIZE,
    .summary = "turn data files into a token stream with loss mask and split",
    .synopsis = "[options] [-c run.yaml] [FILE...]",
    .example =
	{"ax-tokenize -c run.yaml -o train.axt                    # the data sets of an Axolotl configuration",
	 "ax-tokenize -m model/ -t chat_template chat.jsonl | ax-pack | ax-shard -o shards/   # files, in a pipe"},
    .opt = options,
    .n_opt = sizeof(options) / sizeof(options[0]),
};

/* Hashes of what was read, and drops, known only now: they complete the header's entry of this tool (fmt/provenance.h). */
static struct ax_val *completion(struct ax_arena *a, const struct tk_plan *p, const struct tk_stats *t)
{
	struct ax_val *top = ax_val_map(a), *m = ax_val_map(a), *own = ax_val_map(a), *list = ax_val_list(a);
	struct ax_val *drops = ax_drops_val(a, &t->named);

	for (size_t i = 0; m && i < p->n_entry; i++)
		for (size_t k = 0; k < p->entry[i].n_file; k++) {
			char hex[17];

			snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)p->entry[i].hash[k]);
			if (!ax_val_set(a, m, p->entry[i].file[k], ax_val_str(a, hex, 16)))
				return NULL;
		}
	m = ax_provenance_bounded(a, m, AX_INPUT_JSON);
	return top && m && own && list && drops && ax_val_set(a, own, "input", m) &&
		       (!t->named.n || ax_val_set(a, own, "drops", drops)) && ax_val_push(a, list, own) &&
		       ax_val_set(a, top, "provenance", list)
		   ? top
		   : NULL;
}

static int write_stream(struct tk_plan *p, struct tk_sink *s, int argc, char **argv, struct ax_err *e)
{
	struct ax_conf *c = p->conf;
	bool keep = !ax_conf_opt_flag(c, "no-provenance");
	struct ax_stream_writer w;
	struct ax_val *header = tk_header(p, c, argc, argv, e), *inputs = NULL;
	int rc;

	if (!header)
		return AX_EMEM;
	AX_GOTO(ax_stream_writer_open(&w, s->out, header, s->opt->compress, e));
	s->writer = &w;
	AX_GOTO(tk_run(p, s, e));
	if (keep && !(inputs = completion(&c->arena, p, &s->stats)))
		AX_GOTO(ax_fail(e, AX_EMEM, "out of memory"));
	rc = ax_stream_writer_finish(&w, &s->stats.drops, inputs, e);
out:
	s->writer = NULL;
	ax_stream_writer_release(&w);
	return rc;
}

/* Rows as text or as a stream, to where -o says. */
static int tokenize(struct ax_conf *c, int argc, char **argv, struct ax_err *e)
{
	const char *path = ax_conf_opt_str(c, "output");
	struct tk_sink s = {0};
	struct ax_out out = {0};
	struct tk_plan p;
	struct tk_opt o;
	int rc;

	AX_TRY(tk_opt_read(&o, c, e));
	rc = tk_plan_init(&p, c, true, e);
	if (rc)
		goto plan;
	rc = ax_out_open(&out, path ? path : "-", o.print ? AX_OUT_TEXT : 0, e);
	if (rc)
		goto plan;
	s.out = &out;
	AX_GOTO(tk_sink_init(&s, &p, &o, e));
	AX_GOTO(o.print ? tk_run(&p, &s, e) : write_stream(&p, &s, argc, argv, e));
	AX_GOTO(ax_out_commit(&out, e));
	rc = tk_report(&s, c, e);
out:
	ax_out_abort(&out);
	tk_sink_release(&s);
plan:
	tk_plan_release(&p);
	return rc;
}

enum mode { MODE_STREAM = 1, MODE_PRINT = 2, MODE_DIFF = 4, MODE_ENCODE = 8, MODE_DECODE = 16, MODE_RENDER = 32 };

/* Options that only some of the modes look at. */
static int check_options(const struct ax_conf *c, enum mode mode, struct ax_err *e)
{
	static const struct {
		const char *name;
		unsigned modes;
		const char *where;
	} partial[] = {
	    {"type", MODE_STREAM | MODE_PRINT | MODE_DIFF, "data sets"},
	    {"mask", MODE_STREAM | MODE_PRINT | MODE_DIFF, "data sets"},
	    {"max-bad", MODE_STREAM | MODE_PRINT | MODE_DIFF, "data sets"},
	    {"rejects", MODE_STREAM | MODE_PRINT | MODE_DIFF, "data sets"},
	    {"compress", MODE_STREAM, "a stream"},
	    {"all", MODE_PRINT, "--print"},
	    {"no-special", MODE_ENCODE | MODE_DECODE, "--encode and --decode"},
	    {"template", MODE_RENDER, "--render"},
	};

	for (size_t i = 0; i < sizeof(partial) / sizeof(*partial); i++)
		if (ax_conf_opt_given(c, partial[i].name) && !(partial[i].modes & mode))
			return ax_fail(e, AX_EUSAGE, "--%s goes with %s", partial[i].name, partial[i].where);
	return 0;
}

static int run(struct ax_conf *c, int argc, char **argv, struct ax_err *e)
{
	bool encode, decode, render, diff;

	AX_TRY(ax_conf_init(c, &spec, argc, argv, e));
	if (c->done)
		return 0;
	AX_TRY(ax_conf_check(c, e));
	encode = ax_conf_opt_flag(c, "encode");
	decode = ax_conf_opt_flag(c, "decode");
	render = ax_conf_opt_flag(c, "render");
	diff = ax_conf_opt_flag(c, "mask-diff");
	AX_TRY(ax_sig_start(e));
	if (encode + decode + render + diff + ax_conf_opt_flag(c, "print") > 1)
		return ax_fail(e, AX_EUSAGE, "--encode, --decode, --render, --mask-diff and --print exclude each other");
	if ((render || decode) && ax_conf_opt_flag(c, "no-inject"))
		return ax_fail(e, AX_EUSAGE, "--no-inject is about tokens: --%s makes none",
			       render ? "render" : "decode");
	AX_TRY(check_options(c, encode ? MODE_ENCODE : decode ? MODE_DECODE : render ? MODE_RENDER : diff ? MODE_DIFF :
				ax_conf_opt_flag(c, "print") ? MODE_PRINT : MODE_STREAM, e));
	if (diff)
		return tk_mask_diff(c, e);
	return encode || decode ? tk_encode(c, e) : render ? tk_render(c, e) : tokenize(c, argc, argv, e);
}

int main(int argc, char **argv)
{
	struct ax_err e = {0};
	struct ax_conf c;
	int rc;

	rc = run(&c, argc, argv, &e);
	if (rc)
		ax_log(AX_LOG_ERROR, "%s", e.msg);
	ax_conf_release(&c);
	return ax_exit_code(rc);
}

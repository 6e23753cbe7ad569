/* --encode: a JSON string a line in, a JSON array of ids a line out; --decode: the other way round. */
#include <string.h>

#include "fmt/cell.h"
#include "text/json.h"
#include "tok/decode.h"
#include "tokenize.h"

struct encoder {
	const struct ax_tokenizer *tok;
	struct ax_tok_scratch *scratch;
	struct ax_ids ids;
	struct ax_guards guards;
	struct ax_arena arena;
	struct ax_buf line;
	struct ax_out out;
	unsigned flags;
	bool no_inject, decode;
	struct ax_buf text; /* --decode */
};

static int encode_one(struct encoder *x, const struct ax_record *r, struct ax_err *e)
{
	struct ax_val *v;

	ax_arena_clear(&x->arena);
	AX_TRY(ax_json_parse(&x->arena, r->p, r->n, &v, e));
	if (v->type != AX_STR)
		return ax_fail(e, AX_EDATA, "expected a JSON string");
	ax_ids_reset(&x->ids);
	ax_guards_reset(&x->guards);
	if (x->no_inject)
		AX_TRY(ax_guards_add(&x->guards, 0, v->n, e));
	AX_TRY(ax_tokenizer_encode_guarded(x->tok, v->u.s, v->n, x->flags, &x->guards, &x->ids, x->scratch, e));
	ax_buf_reset(&x->line);
	ax_buf_addc(&x->line, '[');
	for (size_t i = 0; i < x->ids.n; i++) {
		if (i)
			ax_buf_add(&x->line, ", ", 2);
		ax_cell_u64(&x->line, x->ids.id[i]);
	}
	ax_buf_adds(&x->line, "]\n");
	if (x->line.oom)
		return ax_fail(e, AX_EMEM, "out of memory");
	return ax_out_write(&x->out, x->line.p, x->line.n, e);
}

static bool is_blank(const struct ax_record *r)
{
	size_t n = r->n;

	while (n && (r->p[n - 1] == ' ' || r->p[n - 1] == '\t' || r->p[n - 1] == '\r'))
		n--;
	return n == 0;
}

static int decode_one(struct encoder *x, const struct ax_record *r, struct ax_err *e)
{
	struct ax_val *v;
	uint32_t *id;

	if (is_blank(r))
		return 0;
	ax_arena_clear(&x->arena);
	AX_TRY(ax_json_parse(&x->arena, r->p, r->n, &v, e));
	if (v->type != AX_LIST)
		return ax_fail(e, AX_EDATA, "expected a JSON array of ids");
	id = ax_arena_calloc(&x->arena, v->n + 1, sizeof(*id));
	for (size_t i = 0; id && i < v->n; i++) {
		if (v->u.item[i]->type != AX_INT || v->u.item[i]->u.i < 0 || v->u.item[i]->u.i > UINT32_MAX)
			return ax_fail(e, AX_EDATA, "element %zu of the array is no id", i + 1);
		id[i] = (uint32_t)v->u.item[i]->u.i;
	}
	if (!id)
		return ax_fail(e, AX_EMEM, "out of memory");
	ax_buf_reset(&x->text);
	AX_TRY(ax_tokenizer_decode(x->tok, id, v->n, x->flags, &x->text, e));
	ax_buf_reset(&x->line);
	ax_json_write_str(&x->line, x->text.p ? x->text.p : "", x->text.n, 0);
	ax_buf_addc(&x->line, '\n');
	if (x->line.oom)
		return ax_fail(e, AX_EMEM, "out of memory");
	return ax_out_write(&x->out, x->line.p, x->line.n, e);
}

static int encode_file(struct encoder *x, const char *path, struct ax_err *e)
{
	struct ax_source s;
	struct ax_record r;
	bool end = false;
	int rc;

	/* an array that stands at the beginning of a file of JSON would be taken for a list of records */
	AX_TRY(ax_source_open(&s, path, x->decode ? AX_SOURCE_TEXT : AX_SOURCE_JSON, 0, e));
	while (!(rc = ax_source_next(&s, &r, &end, e)) && !end) {
		rc = (x->decode ? decode_one : encode_one)(x, &r, e);
		if (rc) {
			char text[AX_ERR_MAX];

			tk_place(s.name, r.line, r.made, e ? e->msg : "", text, sizeof(text));
			rc = ax_fail(e, rc, "%s", text);
			break;
		}
	}
	ax_source_close(&s);
	return rc;
}

int tk_encode(struct ax_conf *c, struct ax_err *e)
{
	static const char *const standard[] = {"-"};
	const char *const *file = c->n_operand ? c->operand : standard;
	size_t n_file = c->n_operand ? c->n_operand : 1;
	bool plain = ax_conf_opt_flag(c, "no-special");
	struct encoder x = {.no_inject = ax_conf_opt_flag(c, "no-inject"), .decode = ax_conf_opt_flag(c, "decode")};
	struct tk_plan p;
	int rc = tk_plan_init(&p, c, false, e);

	if (rc)
		goto plan;
	if (!p.eff || !p.eff->tok) {
		rc = ax_fail(e, AX_EUSAGE, "--%s needs --model DIR with a tokenizer.json", x.decode ? "decode" : "encode");
		goto plan;
	}
	x.tok = p.eff->tok;
	x.flags = x.decode ? (plain ? AX_DECODE_SKIP_SPECIAL : 0) : plain ? 0 : AX_TOK_SPECIAL;
	ax_arena_init(&x.arena, 0);
	AX_GOTO(ax_out_open(&x.out, ax_conf_opt_str(c, "output") ? ax_conf_opt_str(c, "output") : "-", AX_OUT_TEXT, e));
	AX_GOTO(ax_tok_scratch_new(&x.scratch, x.tok, e));
	for (size_t i = 0; i < n_file; i++)
		AX_GOTO(encode_file(&x, file[i], e));
	rc = ax_out_commit(&x.out, e);
out:
	ax_out_abort(&x.out);
	ax_tok_scratch_free(x.scratch);
	ax_ids_release(&x.ids);
	ax_guards_release(&x.guards);
	ax_buf_release(&x.line);
	ax_buf_release(&x.text);
	ax_arena_release(&x.arena);
plan:
	tk_plan_release(&p);
	return rc;
}

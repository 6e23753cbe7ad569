/* --render: a JSON object with a template's variables a line in, the rendered text as a JSON string a line out. */
#include <string.h>

#include "text/jinja.h"
#include "text/json.h"
#include "tokenize.h"

#define TEMPLATE_MAX ((size_t)4 << 20)

struct renderer {
	struct ax_jinja *tmpl;
	struct ax_jinja_opt opt;
	struct ax_rope rope;
	struct ax_arena arena;
	struct ax_buf line;
	struct ax_out out;
	uint64_t n_failed;
};

static int load_template(struct renderer *x, const struct tk_plan *p, struct ax_conf *c, struct ax_err *e)
{
	const char *path = ax_conf_opt_str(c, "template"), *text = p->eff ? p->eff->template_text : NULL;
	struct ax_buf b = AX_BUF_INIT;
	int rc;

	if (path && !ax_path_exists(path)) {
		text = ax_chat_template_bundled(path);
		if (!text)
			return ax_fail(e, AX_EUSAGE, "--template %s: neither a file nor a built-in template", path);
		path = NULL;
	}
	if (!path && !text)
		return ax_fail(e, AX_EUSAGE,
			       p->eff ? "--render: the model has no chat template; give --template FILE"
				      : "--render needs --template FILE or --model DIR");
	if (!path)
		return ax_jinja_compile(&x->tmpl, text, strlen(text), 0, e);
	AX_TRY(ax_read_file(path, TEMPLATE_MAX, &b, e));
	rc = ax_jinja_compile(&x->tmpl, b.p ? b.p : "", b.n, 0, e);
	if (rc)
		ax_err_prefix(e, "%s: ", path);
	ax_buf_release(&b);
	return rc;
}

/* The line for one context; a context that the template refuses gives a line too. */
static int render_one(struct renderer *x, const struct ax_record *r, struct ax_err *e)
{
	struct ax_err why = {0};
	struct ax_val *ctx;
	int rc;

	ax_arena_clear(&x->arena);
	ax_buf_reset(&x->line);
	x->rope.line = 0;
	rc = ax_json_parse(&x->arena, r->p, r->n, &ctx, &why);
	if (!rc && ctx->type != AX_MAP)
		rc = ax_fail(&why, AX_EDATA, "expected a JSON object");
	if (!rc)
		rc = ax_jinja_render(x->tmpl, ctx, &x->opt, &x->rope, &why);
	if (rc) {
		x->n_failed++;
		ax_buf_adds(&x->line, "{\"error\": ");
		ax_json_write_str(&x->line, why.msg, strlen(why.msg), 0);
		if (x->rope.line)
			ax_buf_addf(&x->line, ", \"line\": %u, \"column\": %u", x->rope.line, x->rope.column);
		ax_buf_adds(&x->line, "}\n");
	} else {
		ax_json_write_str(&x->line, x->rope.b.p ? x->rope.b.p : "", x->rope.b.n, 0);
		ax_buf_addc(&x->line, '\n');
	}
	if (x->line.oom)
		return ax_fail(e, AX_EMEM, "out of memory");
	return ax_out_write(&x->out, x->line.p, x->line.n, e);
}

static int render_file(struct renderer *x, const char *path, struct ax_err *e)
{
	struct ax_source s;
	struct ax_record r;
	bool end = false;
	int rc;

	AX_TRY(ax_source_open(&s, path, AX_SOURCE_JSON, 0, e));
	while (!(rc = ax_source_next(&s, &r, &end, e)) && !end) {
		rc = render_one(x, &r, e);
		if (rc)
			break;
	}
	ax_source_close(&s);
	return rc;
}

int tk_render(struct ax_conf *c, struct ax_err *e)
{
	static const char *const standard[] = {"-"};
	const char *const *file = c->n_operand ? c->operand : standard;
	const char *out = ax_conf_opt_str(c, "output");
	size_t n_file = c->n_operand ? c->n_operand : 1;
	struct renderer x = {0};
	struct tk_plan p;
	int rc = tk_plan_init(&p, c, false, e);

	ax_arena_init(&x.arena, 0);
	ax_rope_init(&x.rope);
	if (rc)
		goto out;
	x.opt.now = p.has_now ? &p.now : NULL;
	AX_GOTO(load_template(&x, &p, c, e));
	AX_GOTO(ax_out_open(&x.out, out ? out : "-", AX_OUT_TEXT, e));
	for (size_t i = 0; i < n_file; i++)
		AX_GOTO(render_file(&x, file[i], e));
	AX_GOTO(ax_out_commit(&x.out, e));
	if (x.n_failed)
		rc = ax_fail(e, AX_ECHECK, "%llu context%s could not be rendered", (unsigned long long)x.n_failed,
			     x.n_failed == 1 ? "" : "s");
out:
	ax_out_abort(&x.out);
	ax_jinja_free(x.tmpl);
	ax_rope_release(&x.rope);
	ax_buf_release(&x.line);
	ax_arena_release(&x.arena);
	tk_plan_release(&p);
	return rc;
}

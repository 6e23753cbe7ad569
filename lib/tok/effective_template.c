/*
 * Which chat template a run uses.
 */
#include <string.h>

#include "tok/effective_impl.h"

#define MAX_TEMPLATE ((size_t)4 << 20)

static int set_text(struct ax_effective *f, const char *p, size_t n, const char *name, struct ax_err *e)
{
	f->template_text = ax_arena_strndup(&f->arena, p, n);
	f->template_name = ax_arena_strndup(&f->arena, name, strlen(name));
	return f->template_text && f->template_name ? 0 : ax_fail(e, AX_EMEM, "out of memory for the chat template");
}

static int from_file(struct ax_effective *f, const char *path, const char *name, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	int rc = ax_read_file(path, MAX_TEMPLATE, &b, e);

	if (!rc)
		rc = set_text(f, b.p ? b.p : "", b.n, name, e);
	ax_buf_release(&b);
	return rc;
}

/* The tokenizer's own: chat_template.jinja, else tokenizer_config.json's (a string, or a list with one named "default"). */
static int own_template(struct ax_effective *f, const char *dir, struct ax_err *e)
{
	const struct ax_val *v = ax_val_get(f->files->config, "chat_template");
	char *path = ax_path_join(dir, "chat_template.jinja");
	bool file;
	int rc = 0;

	if (!path)
		return ax_fail(e, AX_EMEM, "out of memory for the chat template");
	file = ax_path_exists(path);
	if (file)
		rc = from_file(f, path, "chat_template.jinja", e);
	ax_free(path);
	if (file || rc)
		return rc;
	for (size_t i = 0; v && v->type == AX_LIST && i < v->n; i++)
		if (ax_val_is(ax_val_get(v->u.item[i], "name"), "default")) {
			v = ax_val_get(v->u.item[i], "template");
			break;
		}
	return v && v->type == AX_STR ? set_text(f, v->u.s, v->n, "tokenizer_config.json", e) : 0;
}

static int bundled_template(struct ax_effective *f, const char *name, struct ax_err *e)
{
	const char *text = ax_chat_template_bundled(name);
	struct ax_buf have = AX_BUF_INIT;

	if (text)
		return set_text(f, text, strlen(text), name, e);
	for (size_t i = 0; ax_chat_template_name(i); i++)
		ax_buf_addf(&have, " %s", ax_chat_template_name(i));
	ax_fail(e, AX_EUSAGE, "chat_template: no bundled template \"%s\"; there are tokenizer_default, jinja and:%s", name, have.p ? have.p : "");
	ax_buf_release(&have);
	return AX_EUSAGE;
}

int ax_effective_template(struct ax_effective *f, const struct ax_tok_spec *spec, const char *dir, struct ax_err *e)
{
	static const char fallback[] = "tokenizer_default_fallback_";
	const char *want = spec->chat_template, *jinja = spec->chat_template_jinja;

	if (!want && jinja)
		want = "jinja";
	if (want && !strcmp(want, "jinja")) {
		if (!jinja)
			return ax_fail(e, AX_EUSAGE, "chat_template: jinja needs chat_template_jinja");
		if (!strchr(jinja, '{') && ax_path_exists(jinja))
			return from_file(f, jinja, jinja, e);
		if (!strchr(jinja, '{'))
			return ax_fail(e, AX_EUSAGE, "chat_template_jinja: %.200s: neither a file nor a template", jinja);
		return set_text(f, jinja, strlen(jinja), "chat_template_jinja", e);
	}
	if (want && strncmp(want, fallback, strlen(fallback)) && strcmp(want, "tokenizer_default"))
		return bundled_template(f, want, e);
	AX_TRY(own_template(f, dir, e));
	if (f->template_text || !want)
		return 0;
	if (!strncmp(want, fallback, strlen(fallback)))
		return bundled_template(f, want + strlen(fallback), e);
	return ax_fail(e, AX_EUSAGE, "chat_template: tokenizer_default, but the tokenizer in %s has no chat template", dir);
}

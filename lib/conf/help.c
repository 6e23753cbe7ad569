/* Texts made from the option and key tables: -h, completions, and the key table of ax-config(5). */
#include <stdio.h>
#include <string.h>

#include "conf/inner.h"

#define COLUMN 26 /* where the explanation of an option starts */

static void dashes(char *to, size_t size, const char *name)
{
	snprintf(to, size, "%s", name);
	for (char *p = to; *p; p++)
		*p = *p == '_' ? '-' : *p;
}

static void option_line(const struct ax_opt *o, struct ax_buf *b)
{
	size_t start = b->n;

	if (o->letter)
		ax_buf_addf(b, "  -%c, ", o->letter);
	else
		ax_buf_adds(b, "      ");
	ax_buf_addf(b, "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
	do
		ax_buf_addc(b, ' ');
	while (b->n - start < COLUMN && !b->oom);
	ax_buf_adds(b, o->help ? o->help : "");
	if (o->dflt)
		ax_buf_addf(b, " [%s]", o->dflt);
	ax_buf_addc(b, '\n');
}

/* The honoured top-level keys of the tool, as options, in lines of bounded width. */
static void key_options(unsigned tool, struct ax_buf *b)
{
	size_t width = 0, shown = 0;
	char name[128];

	for (const struct ax_key_group *g = ax_key_groups; g->title; g++)
		for (const struct ax_key *k = g->row; k->name; k++) {
			if (!(k->tools & tool) || k->status != AX_KEY_HONOURED || strpbrk(k->name, ".[") || g->old)
				continue;
			dashes(name, sizeof(name), k->name);
			if (shown++ == 0)
				ax_buf_adds(b, "\nKeys of the configuration that it reads, each also an option (see "
					       "ax-config(5)):\n");
			if (width == 0 || width + strlen(name) + 3 > 100) {
				ax_buf_adds(b, width ? "\n  " : "  ");
				width = 2;
			} else {
				ax_buf_addc(b, ' ');
				width++;
			}
			ax_buf_addf(b, "--%s", name);
			width += strlen(name) + 2;
		}
	if (shown > 0)
		ax_buf_addc(b, '\n');
}

void ax_help_text(const struct ax_tool_spec *spec, struct ax_buf *b)
{
	for (size_t i = 0; i < 2; i++)
		if (spec->example[i])
			ax_buf_addf(b, "%s\n", spec->example[i]);
	ax_buf_addf(b, "\n%s - %s\nusage: %s %s\n\n", spec->name, spec->summary, spec->name, spec->synopsis);
	for (size_t i = 0; i < spec->n_opt; i++)
		option_line(&spec->opt[i], b);
	ax_buf_adds(b, "\nOptions of all tools:\n");
	for (const struct ax_opt *o = ax_conf_common; o->name; o++)
		option_line(o, b);
	key_options(spec->tool, b);
	ax_buf_addf(b, "\nMore: man %s\n", spec->name);
}

static const char *type_name(const struct ax_key *k, struct ax_buf *b)
{
	ax_buf_reset(b);
	ax_key_expects(k, b);
	return b->oom ? "" : b->p;
}

/* Tab-separated: group, name, aliases, type, default, tools, status, help, reason. */
void ax_key_table(struct ax_buf *b)
{
	static const char *const tool[] = {"tokenize", "pack", "shard", "train", "merge", "view"};
	struct ax_buf t = AX_BUF_INIT;

	for (const struct ax_key_group *g = ax_key_groups; g->title; g++)
		for (const struct ax_key *k = g->row; k->name; k++) {
			ax_buf_addf(b, "%s\t%s\t%s\t%s\t%s\t", g->title, k->name, k->alias ? k->alias : "",
				    type_name(k, &t), k->dflt ? k->dflt : "");
			for (unsigned i = 0, n = 0; i < 6; i++)
				if (k->tools & 1u << i)
					ax_buf_addf(b, "%s%s", n++ ? " " : "", tool[i]);
			ax_buf_addf(b, "\t%s\t%s\t%s\n", ax_key_status_name(k->status), k->help,
				    k->reason ? k->reason : "");
		}
	ax_buf_release(&t);
}

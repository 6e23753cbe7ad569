/* Completions for bash, zsh and fish, from the option and key tables. */
#include <stdio.h>
#include <string.h>

#include "conf/inner.h"

static bool offered(const struct ax_tool_spec *spec, const struct ax_key *k)
{
	return k->tools & (unsigned)spec->tool && k->status != AX_KEY_REFUSED && !strstr(k->name, "[]");
}

static void key_name(const struct ax_key *k, struct ax_buf *b)
{
	for (const char *p = k->name; *p; p++)
		ax_buf_addc(b, *p == '_' ? '-' : *p);
}

/* Single-quoted for fish. */
static void quoted(const char *s, struct ax_buf *b)
{
	ax_buf_addc(b, '\'');
	for (; *s; s++) {
		if (*s == '\'' || *s == '\\')
			ax_buf_addc(b, '\\');
		ax_buf_addc(b, *s);
	}
	ax_buf_addc(b, '\'');
}

static bool is_path(const struct ax_opt *o)
{
	return o->arg && (strstr(o->arg, "FILE") || strstr(o->arg, "DIR") || strstr(o->arg, "OUT"));
}

static void bash_words(const struct ax_tool_spec *spec, struct ax_buf *b)
{
	for (size_t i = 0; i < spec->n_opt; i++)
		ax_buf_addf(b, " --%s", spec->opt[i].name);
	for (const struct ax_opt *o = ax_conf_common; o->name; o++)
		ax_buf_addf(b, " --%s", o->name);
	for (const struct ax_key_group *g = ax_key_groups; g->title; g++)
		for (const struct ax_key *k = g->row; k->name; k++)
			if (offered(spec, k)) {
				ax_buf_adds(b, " --");
				key_name(k, b);
			}
}

/* Values to choose from, one case of bash for each key that has some. */
static void bash_values(const struct ax_tool_spec *spec, struct ax_buf *b)
{
	for (const struct ax_key_group *g = ax_key_groups; g->title; g++)
		for (const struct ax_key *k = g->row; k->name; k++) {
			if (!offered(spec, k) || !k->limit || strchr("[(", *k->limit))
				continue;
			ax_buf_adds(b, "\t--");
			key_name(k, b);
			ax_buf_adds(b, ") COMPREPLY=($(compgen -W '");
			for (const char *p = k->limit; *p; p++)
				ax_buf_addc(b, *p == '|' ? ' ' : *p);
			ax_buf_adds(b, k->type & AX_KEY_BOOL ? " true false" : "");
			ax_buf_adds(b, "' -- \"$cur\")); return ;;\n");
		}
}

static void bash(const struct ax_tool_spec *spec, struct ax_buf *b)
{
	char fn[64];

	snprintf(fn, sizeof(fn), "_%s", spec->name);
	for (char *p = fn; *p; p++)
		*p = *p == '-' ? '_' : *p;
	ax_buf_addf(b, "%s()\n{\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n", fn);
	ax_buf_adds(b, "\tCOMPREPLY=()\n\tcase $prev in\n");
	bash_values(spec, b);
	ax_buf_adds(b, "\tesac\n\tcase $cur in\n\t-*) COMPREPLY=($(compgen -W '");
	bash_words(spec, b);
	ax_buf_addf(b,
		    "' -- \"$cur\")) ;;\n\t*) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n\tesac\n}\n"
		    "complete -o filenames -F %s %s\n",
		    fn, spec->name);
}

static void zsh_option(const struct ax_opt *o, struct ax_buf *b)
{
	const char *action = o->type == AX_OPT_FLAG ? "" : is_path(o) ? ":file:_files" : ":value:";

	for (int i = 0; i < 2; i++) {
		if (i == 1 && !o->letter)
			continue;
		if (i == 1)
			ax_buf_addf(b, "\t'-%c[", o->letter);
		else
			ax_buf_addf(b, "\t'--%s[", o->name);
		for (const char *p = o->help; *p; p++)
			ax_buf_addc(b, strchr("'[]:", *p) ? ' ' : *p);
		ax_buf_addf(b, "]%s' \\\n", action);
	}
}

static void zsh_key(const struct ax_key *k, struct ax_buf *b)
{
	ax_buf_adds(b, "\t'--");
	key_name(k, b);
	ax_buf_addc(b, '[');
	for (const char *p = k->help; *p; p++)
		ax_buf_addc(b, strchr("'[]:", *p) ? ' ' : *p);
	ax_buf_addc(b, ']');
	if (k->limit && !strchr("[(", *k->limit)) {
		ax_buf_adds(b, ":value:(");
		for (const char *p = k->limit; *p; p++)
			ax_buf_addc(b, *p == '|' ? ' ' : *p);
		ax_buf_adds(b, k->type & AX_KEY_BOOL ? " true false)" : ")");
	} else if (!(k->type & AX_KEY_BOOL))
		ax_buf_adds(b, ":value:");
	ax_buf_adds(b, "' \\\n");
}

static void zsh(const struct ax_tool_spec *spec, struct ax_buf *b)
{
	ax_buf_addf(b, "#compdef %s\n_arguments \\\n", spec->name);
	for (size_t i = 0; i < spec->n_opt; i++)
		zsh_option(&spec->opt[i], b);
	for (const struct ax_opt *o = ax_conf_common; o->name; o++)
		zsh_option(o, b);
	for (const struct ax_key_group *g = ax_key_groups; g->title; g++)
		for (const struct ax_key *k = g->row; k->name; k++)
			if (offered(spec, k))
				zsh_key(k, b);
	ax_buf_adds(b, "\t'*:file:_files'\n");
}

static void fish_option(const struct ax_tool_spec *spec, const struct ax_opt *o, struct ax_buf *b)
{
	ax_buf_addf(b, "complete -c %s -l %s", spec->name, o->name);
	if (o->letter)
		ax_buf_addf(b, " -s %c", o->letter);
	ax_buf_adds(b, o->type == AX_OPT_FLAG ? "" : is_path(o) ? " -r" : " -x");
	ax_buf_adds(b, " -d ");
	quoted(o->help, b);
	ax_buf_addc(b, '\n');
}

static void fish(const struct ax_tool_spec *spec, struct ax_buf *b)
{
	for (size_t i = 0; i < spec->n_opt; i++)
		fish_option(spec, &spec->opt[i], b);
	for (const struct ax_opt *o = ax_conf_common; o->name; o++)
		fish_option(spec, o, b);
	for (const struct ax_key_group *g = ax_key_groups; g->title; g++)
		for (const struct ax_key *k = g->row; k->name; k++) {
			if (!offered(spec, k))
				continue;
			ax_buf_addf(b, "complete -c %s -l ", spec->name);
			key_name(k, b);
			if (k->limit && !strchr("[(", *k->limit)) {
				ax_buf_adds(b, " -x -a '");
				for (const char *p = k->limit; *p; p++)
					ax_buf_addc(b, *p == '|' ? ' ' : *p);
				ax_buf_addc(b, '\'');
			} else if (!(k->type & AX_KEY_BOOL))
				ax_buf_adds(b, " -r");
			ax_buf_adds(b, " -d ");
			quoted(k->help, b);
			ax_buf_addc(b, '\n');
		}
}

int ax_completion(const struct ax_tool_spec *spec, const char *shell, struct ax_buf *b, struct ax_err *e)
{
	if (strcmp(shell, "bash") == 0)
		bash(spec, b);
	else if (strcmp(shell, "zsh") == 0)
		zsh(spec, b);
	else if (strcmp(shell, "fish") == 0)
		fish(spec, b);
	else
		return ax_fail(e, AX_EUSAGE, "--completion: expected bash, zsh or fish, got \"%s\"", shell);
	return 0;
}

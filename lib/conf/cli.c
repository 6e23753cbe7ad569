/* The command line: the tool's own options, those of all tools, and every key as an option. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "conf/inner.h"
#include "conf/layer.h"
#include "text/yaml.h"

#define WORD_MAX 512

const struct ax_opt ax_conf_common[] = {
	{"config", 'c', AX_OPT_STR, "FILE", NULL, "Axolotl configuration (YAML); - is stdin"},
	{"set", 0, AX_OPT_LIST, "KEY=YAML", NULL, "set any key: --set datasets.0.type=alpaca"},
	{"strict-keys", 0, AX_OPT_FLAG, NULL, NULL, "an unknown key is an error"},
	{"print-config", 0, AX_OPT_FLAG, NULL, NULL, "print the resolved configuration and stop"},
	{"get", 0, AX_OPT_STR, "KEY", NULL, "print the value of one key and stop; nothing if it is unset"},
	{"for", 0, AX_OPT_STR, "TOOL", NULL, "with --print-config: only the keys of ax-TOOL"},
	{"json", 0, AX_OPT_STR, "FILE", NULL, "write statistics as JSON"},
	{"no-provenance", 0, AX_OPT_FLAG, NULL, NULL, "leave command line and versions out of the output"},
	{"threads", '@', AX_OPT_INT, "N", NULL, "threads to use; default: the cores allowed"},
	{"quiet", 'q', AX_OPT_FLAG, NULL, NULL, "warnings and errors only"},
	{"verbose", 'v', AX_OPT_FLAG, NULL, NULL, "say more"},
	{"help", 'h', AX_OPT_FLAG, NULL, NULL, "print this and stop"},
	{"version", 'V', AX_OPT_FLAG, NULL, NULL, "print the version and stop; bare with -q"},
	{NULL, 0, AX_OPT_FLAG, NULL, NULL, NULL},
};

static const struct ax_opt hidden[] = {
	{"completion", 0, AX_OPT_STR, "SHELL", NULL, NULL},
	{"key-table", 0, AX_OPT_FLAG, NULL, NULL, NULL},
	{NULL, 0, AX_OPT_FLAG, NULL, NULL, NULL},
};

struct parser {
	struct ax_conf *c;
	char **argv;
	int argc, at;
	struct ax_err *e;
};

static const struct ax_opt *in_table(const struct ax_opt *o, const char *name, char letter)
{
	for (; o->name; o++)
		if (name ? strcmp(o->name, name) == 0 : o->letter == letter)
			return o;
	return NULL;
}

static const struct ax_opt *own_option(const struct ax_tool_spec *spec, const char *name, char letter)
{
	for (size_t i = 0; i < spec->n_opt; i++)
		if (name ? strcmp(spec->opt[i].name, name) == 0 : spec->opt[i].letter == letter)
			return &spec->opt[i];
	const struct ax_opt *o = in_table(ax_conf_common, name, letter);

	return o || !name ? o : in_table(hidden, name, 0);
}

const struct ax_opt *ax_conf_own_option(const struct ax_tool_spec *spec, const char *name)
{
	return own_option(spec, name, 0);
}

static bool is_bool_word(const char *s)
{
	return s && (strcmp(s, "true") == 0 || strcmp(s, "false") == 0);
}

/* 4096, 200M, 1.5GiB; K, M, G, T are powers of 1024, KB, MB, GB, TB powers of 1000. */
static bool parse_size(const char *s, int64_t *out)
{
	static const char unit[] = "KMGT";
	char *end;
	double x = strtod(s, &end), scale = 1;
	const char *u = *end ? strchr(unit, *end) : NULL;

	if (end == s || !(x >= 0) || strpbrk(s, "xXpP"))
		return false;
	if (u) {
		bool decimal = strcmp(end + 1, "B") == 0;

		if (!decimal && strcmp(end + 1, "iB") != 0 && end[1] != '\0')
			return false;
		scale = pow(decimal ? 1000 : 1024, (double)(u - unit + 1));
	} else if (*end && strcmp(end, "B") != 0)
		return false;
	if (x * scale >= 9e18)
		return false;
	*out = (int64_t)(x * scale);
	return true;
}

/* An option's text as a value; NULL and no error: the text is not of the type. */
static struct ax_val *own_value(struct ax_arena *a, const struct ax_opt *o, const char *text)
{
	char *end;
	int64_t i;
	double x;

	switch (o->type) {
	case AX_OPT_FLAG:
		return is_bool_word(text) ? ax_val_bool(a, text[0] == 't') : NULL;
	case AX_OPT_INT:
		errno = 0;
		i = strtoll(text, &end, 10);
		return *text && !*end && errno == 0 ? ax_val_int(a, i) : NULL;
	case AX_OPT_NUM:
		x = strtod(text, &end);
		return *text && !*end && isfinite(x) ? ax_val_float(a, x) : NULL;
	case AX_OPT_SIZE:
		return parse_size(text, &i) ? ax_val_int(a, i) : NULL;
	case AX_OPT_STR:
	case AX_OPT_LIST:
		return ax_val_str(a, text, strlen(text));
	}
	return NULL;
}

static int set_own(struct parser *p, const struct ax_opt *o, const char *shown, const char *text)
{
	static const char *const wants[] = {"true or false",	     "an integer", "a number", "a text",
					    "a size such as 1.5GiB", "a text"};
	struct ax_arena *a = &p->c->arena;
	struct ax_val *v = own_value(a, o, text), *list;

	if (!v)
		return ax_fail(p->e, AX_EUSAGE, "%s: expected %s, got \"%s\"", shown, wants[o->type], text);
	if (o->type != AX_OPT_LIST)
		return ax_val_set(a, p->c->own, o->name, v) ? 0 : ax_fail(p->e, AX_EMEM, "out of memory");
	list = (struct ax_val *)(uintptr_t)ax_val_get(p->c->own, o->name);
	if (!list) {
		list = ax_val_list(a);
		if (!list || !ax_val_set(a, p->c->own, o->name, list))
			return ax_fail(p->e, AX_EMEM, "out of memory");
	}
	return ax_val_push(a, list, v) ? 0 : ax_fail(p->e, AX_EMEM, "out of memory");
}

/* "datasets.0.path" -> "datasets[].path": the name of the row. */
static void row_name(const char *path, char out[WORD_MAX])
{
	size_t n = 0;

	for (const char *s = path; *s && n < WORD_MAX - 4;) {
		size_t m = strcspn(s, ".");

		if (m > 0 && strspn(s, "0123456789") == m && n > 0) {
			n--;
			memcpy(out + n, "[]", 2), n += 2;
		} else {
			m = m < WORD_MAX - 4 - n ? m : WORD_MAX - 4 - n;
			memcpy(out + n, s, m), n += m;
		}
		s += m;
		if (*s == '.')
			out[n++] = *s++;
	}
	out[n] = '\0';
}

/* Does the path name the row itself, and not an element or a member of its value? */
static bool is_row_path(const struct ax_key *k, const char *path)
{
	char name[WORD_MAX];

	row_name(path, name);
	return ax_key_find(name, strlen(name)) == k;
}

/* The text as the row's type would be written on a command line: a plain string needs no quotes. */
static int key_value(struct parser *p, const struct ax_key *k, const char *path, const char *text, struct ax_val **v)
{
	struct ax_arena *a = &p->c->arena;
	bool whole = is_row_path(k, path), listed = whole && k->type & (AX_KEY_STRS | AX_KEY_LIST);

	if (strcmp(text, "null") == 0)
		*v = ax_val_null(a);
	else if (whole && k->type == AX_KEY_STR)
		*v = ax_val_str(a, text, strlen(text));
	else
		AX_TRY(ax_yaml_scalar(a, text, v, p->e));
	if (*v && listed && !(k->type & AX_KEY_STR) && (*v)->type != AX_LIST && (*v)->type != AX_MAP &&
	    (*v)->type != AX_NULL) {
		struct ax_val *one = ax_val_list(a);

		if (!one || !ax_val_push(a, one, ax_val_str(a, text, strlen(text))))
			return ax_fail(p->e, AX_EMEM, "out of memory");
		*v = one;
	}
	return *v ? 0 : ax_fail(p->e, AX_EMEM, "out of memory");
}

/* Add one key at a dotted path to the command line's layer. */
static int add_key(struct parser *p, const char *path, struct ax_val *v)
{
	struct ax_layer_opts o = {NULL, true, false};
	struct ax_arena *a = &p->c->arena;
	struct ax_val *raw = ax_val_map(a), *layer;

	if (!raw || !ax_layer_put(a, raw, path, v))
		return ax_fail(p->e, AX_EMEM, "%s: out of memory", path);
	AX_TRY(ax_layer_read(a, raw, &o, &layer, p->e));
	p->c->cli = ax_layer_merge(a, p->c->cli, layer, true);
	return p->c->cli ? 0 : ax_fail(p->e, AX_EMEM, "out of memory");
}

/* The row for a path, or for the nearest list or mapping with free content above it ("chat_template_kwargs.x"). */
static const struct ax_key *path_row(const char *path)
{
	char name[WORD_MAX];

	row_name(path, name);
	const struct ax_key *k = ax_key_find(name, strlen(name));

	while (!k) {
		char *dot = strrchr(name, '.');
		size_t n = strlen(name);
		bool index = n > 2 && strcmp(name + n - 2, "[]") == 0;

		if (index)
			name[n - 2] = '\0';
		else if (dot)
			*dot = '\0';
		else
			return NULL;
		k = ax_key_find(name, strlen(name));
		if (k && ((!index && ax_key_has_members(k)) || !(k->type & (AX_KEY_MAP | AX_KEY_LIST | AX_KEY_STRS))))
			return NULL;
	}
	return k;
}

static int unknown_option(struct parser *p, const char *shown, const char *name)
{
	const struct ax_tool_spec *s = p->c->spec;
	const char *best = NULL;
	size_t least = 3;
	char key[WORD_MAX];

	for (size_t i = 0; i < s->n_opt; i++) {
		size_t d = ax_edit_distance(name, s->opt[i].name, 2);

		if (d < least)
			least = d, best = s->opt[i].name;
	}
	for (const struct ax_opt *o = ax_conf_common; o->name; o++) {
		size_t d = ax_edit_distance(name, o->name, 2);

		if (d < least)
			least = d, best = o->name;
	}
	snprintf(key, sizeof(key), "%s", name);
	for (char *c = key; *c; c++)
		*c = *c == '-' ? '_' : *c;
	const struct ax_key *near = ax_key_nearest(key);

	if (near && ax_edit_distance(key, near->name, 3) < least) {
		snprintf(key, sizeof(key), "%s", near->name);
		for (char *c = key; *c; c++)
			*c = *c == '_' ? '-' : *c;
		best = key;
	}
	if (best)
		return ax_fail(p->e, AX_EUSAGE, "%s: unknown option (did you mean --%s?); -h lists the options", shown,
			       best);
	return ax_fail(p->e, AX_EUSAGE, "%s: unknown option; -h lists the options", shown);
}

static int long_key(struct parser *p, const char *shown, const char *name, const char *value)
{
	char path[WORD_MAX];
	bool no = strncmp(name, "no-", 3) == 0;
	const struct ax_key *k;
	struct ax_val *v;

	snprintf(path, sizeof(path), "%s", name);
	for (char *c = path; *c; c++)
		*c = *c == '-' ? '_' : *c;
	k = path_row(path);
	if (!k && no) {
		memmove(path, path + 3, strlen(path) - 2);
		k = path_row(path);
		if (k && (value || !(k->type & AX_KEY_BOOL)))
			return ax_fail(p->e, AX_EUSAGE, "%s: %s", shown,
				       value ? "takes no value" : "this key is not true or false");
		value = "false";
	}
	if (!k)
		return unknown_option(p, shown, name);
	if (!value) {
		const char *next = p->at < p->argc ? p->argv[p->at] : NULL;

		if (!(k->type & AX_KEY_BOOL) || is_bool_word(next) || (next && ax_key_is_choice(k, next))) {
			if (!next)
				return ax_fail(p->e, AX_EUSAGE, "%s: needs a value", shown);
			value = next, p->at++;
		} else
			value = "true";
	}
	AX_TRY(key_value(p, k, path, value, &v));
	return add_key(p, path, v);
}

/* --set KEY=YAML */
static int set_any(struct parser *p, const char *text)
{
	size_t n = strcspn(text, "=");
	char path[WORD_MAX];
	struct ax_val *v;

	if (n == 0 || !text[n] || n >= sizeof(path))
		return ax_fail(p->e, AX_EUSAGE, "--set %.80s: expected KEY=YAML", text);
	snprintf(path, sizeof(path), "%.*s", (int)n, text);
	if (!path_row(path)) {
		const struct ax_key *near = ax_key_nearest(path);

		return ax_fail(p->e, AX_EUSAGE, "--set %s: unknown key%s%s%s", path, near ? " (did you mean " : "",
			       near ? near->name : "", near ? "?)" : "");
	}
	AX_TRY(ax_yaml_scalar(&p->c->arena, text + n + 1, &v, p->e));
	return add_key(p, path, v);
}

static int own_argument(struct parser *p, const struct ax_opt *o, const char *shown, const char *value)
{
	const char *next = p->at < p->argc ? p->argv[p->at] : NULL;

	if (!value && o->type == AX_OPT_FLAG)
		value = o->letter != shown[1] && is_bool_word(next) ? (p->at++, next) : "true";
	else if (!value) {
		if (!next)
			return ax_fail(p->e, AX_EUSAGE, "%s: needs a value (%s)", shown, o->arg ? o->arg : "VALUE");
		value = next, p->at++;
	}
	return strcmp(o->name, "set") == 0 ? set_any(p, value) : set_own(p, o, shown, value);
}

static int long_option(struct parser *p, const char *arg)
{
	char shown[WORD_MAX], name[WORD_MAX];
	size_t n = strcspn(arg + 2, "=");
	const char *value = arg[2 + n] == '=' ? arg + 2 + n + 1 : NULL;

	if (n == 0 || n >= WORD_MAX - 2)
		return ax_fail(p->e, AX_EUSAGE, "%.40s: not an option", arg);
	snprintf(name, sizeof(name), "%.*s", (int)n, arg + 2);
	snprintf(shown, sizeof(shown), "--%.*s", (int)n, arg + 2);
	const struct ax_opt *o = own_option(p->c->spec, name, 0);

	if (o)
		return own_argument(p, o, shown, value);
	if (strncmp(name, "no-", 3) == 0 && !value) {
		o = own_option(p->c->spec, name + 3, 0);
		if (o && o->type == AX_OPT_FLAG)
			return set_own(p, o, shown, "false");
	}
	return long_key(p, shown, name, value);
}

static int letters(struct parser *p, const char *arg)
{
	for (const char *s = arg + 1; *s; s++) {
		char shown[3] = {'-', *s, '\0'};
		const struct ax_opt *o = own_option(p->c->spec, NULL, *s);

		if (!o)
			return ax_fail(p->e, AX_EUSAGE, "%s: unknown option; -h lists the options", shown);
		if (o->type != AX_OPT_FLAG)
			return own_argument(p, o, shown, s[1] ? s + 1 + (s[1] == '=') : NULL);
		AX_TRY(set_own(p, o, shown, "true"));
	}
	return 0;
}

static int print_text(struct ax_conf *c, struct ax_buf *b, struct ax_err *e)
{
	struct ax_out o;
	int rc = b->oom ? ax_fail(e, AX_EMEM, "out of memory") : ax_out_open(&o, "-", AX_OUT_TEXT, e);

	if (rc == 0) {
		rc = ax_out_write(&o, b->p, b->n, e);
		if (rc == 0)
			rc = ax_out_commit(&o, e);
		ax_out_abort(&o);
	}
	ax_buf_release(b);
	c->done = true;
	return rc;
}

static int serve(struct ax_conf *c, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;

	if (ax_conf_opt_flag(c, "help"))
		ax_help_text(c->spec, &b);
	else if (ax_conf_opt_flag(c, "version"))
		ax_buf_addf(&b, ax_conf_opt_flag(c, "quiet") ? "%.0s%s\n" : "%s %s\n", c->spec->name, AX_VERSION);
	else if (ax_conf_opt_flag(c, "key-table"))
		ax_key_table(&b);
	else if (ax_conf_opt_given(c, "completion"))
		AX_TRY(ax_completion(c->spec, ax_conf_opt_str(c, "completion"), &b, e));
	else
		return 0;
	return print_text(c, &b, e);
}

int ax_conf_print(struct ax_conf *c, struct ax_err *e)
{
	static const char *const tool[] = {"tokenize", "pack", "shard", "train", "merge", "view"};
	const char *name = ax_conf_opt_str(c, "for");
	struct ax_buf b = AX_BUF_INIT;
	unsigned tools = 0;

	if (name && strncmp(name, "ax-", 3) == 0)
		name += 3;
	for (unsigned i = 0; name && i < 6; i++)
		if (strcmp(name, tool[i]) == 0)
			tools = 1u << i;
	if (name && !tools)
		return ax_fail(e, AX_EUSAGE, "--for: %s is no tool; one of tokenize, pack, shard, train, merge, view",
			       name);
	struct ax_val *v = ax_conf_resolved(c, tools);

	if (!v)
		return ax_fail(e, AX_EMEM, "out of memory");
	ax_yaml_write(&b, v);
	return print_text(c, &b, e);
}

/* The value at a dotted path; a number is an index where a list is. */
static const struct ax_val *walk(const struct ax_val *v, const char *path)
{
	char part[WORD_MAX];

	while (v && *path) {
		size_t n = strcspn(path, ".");

		snprintf(part, sizeof(part), "%.*s", (int)n, path);
		v = v->type == AX_LIST ? ax_val_at(v, strtoul(part, NULL, 10)) : ax_val_get(v, part);
		path += n + (path[n] == '.');
	}
	return v;
}

int ax_conf_print_key(struct ax_conf *c, struct ax_err *e)
{
	const char *name = ax_conf_opt_str(c, "get");
	struct ax_buf b = AX_BUF_INIT;
	const struct ax_key *row;
	const struct ax_val *v;
	char key[WORD_MAX];

	snprintf(key, sizeof(key), "%s", name);
	for (char *p = key; *p; p++)
		*p = *p == '-' ? '_' : *p;
	row = path_row(key);
	if (!row)
		return ax_fail(e, AX_EUSAGE, "--get %s: unknown key", name);
	if (!strchr(key, '.')) /* by any of its names */
		snprintf(key, sizeof(key), "%s", row->name);
	v = walk(c->val, key);
	v = v ? v : ax_val_get(c->dflt, key);
	if (v && v->type == AX_STR) {
		ax_buf_add(&b, v->u.s, v->n);
		ax_buf_addc(&b, '\n');
	} else if (!ax_val_is_null(v))
		ax_yaml_write(&b, v);
	return print_text(c, &b, e);
}

int ax_conf_parse(struct ax_conf *c, int argc, char **argv, struct ax_err *e)
{
	struct parser p = {c, argv, argc, 1, e};
	bool only_operands = false;

	c->own = ax_val_map(&c->arena);
	c->cli = ax_val_map(&c->arena);
	c->operand = ax_arena_calloc(&c->arena, (size_t)argc + 1, sizeof(*c->operand));
	if (!c->own || !c->cli || !c->operand)
		return ax_fail(e, AX_EMEM, "out of memory");
	while (p.at < argc) {
		const char *arg = argv[p.at++];

		if (only_operands || arg[0] != '-' || arg[1] == '\0')
			c->operand[c->n_operand++] = arg;
		else if (strcmp(arg, "--") == 0)
			only_operands = true;
		else
			AX_TRY(arg[1] == '-' ? long_option(&p, arg) : letters(&p, arg));
	}
	if (ax_conf_opt_flag(c, "quiet"))
		ax_log_set_level(AX_LOG_WARN);
	else if (ax_conf_opt_flag(c, "verbose"))
		ax_log_set_level(AX_LOG_DEBUG);
	if (ax_conf_opt_int(c, "threads", 1) < 1)
		return ax_fail(e, AX_EUSAGE, "--threads: expected at least 1");
	return serve(c, e);
}

int ax_conf_launch_rank(void)
{
	static const char *const var[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"};

	for (size_t i = 0; i < sizeof(var) / sizeof(*var); i++) {
		const char *s = getenv(var[i]);

		if (s && *s)
			return atoi(s);
	}
	return 0;
}

#include "text/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/io.h"
#include "base/log.h"

#define MAX_ANCHORS 1000
#define TAG "tag:yaml.org,2002:"

struct anchor {
	char *name;
	struct ax_val *val;
	size_t nodes; /* values inside, aliases written out */
	int height;
};

struct reader {
	struct ax_arena *a;
	yaml_parser_t parser;
	yaml_event_t ev; /* the current event, owned */
	bool has_ev;
	struct anchor *anchor;
	size_t n_anchor, cap_anchor;
	size_t nodes;
	int depth, deepest; /* deepest level that the node being read reached */
	size_t fail_line;
	const char *path; /* of the file, for warnings; NULL: none are wanted */
	struct ax_err *e;
};

static int fail_at(struct reader *r, yaml_mark_t m, const char *what)
{
	r->fail_line = m.line + 1;
	return ax_fail(r->e, AX_EDATA, "line %zu, column %zu: %s", m.line + 1, m.column + 1, what);
}

static int no_memory(struct reader *r)
{
	return ax_fail(r->e, AX_EMEM, "out of memory while reading YAML");
}

static int next_event(struct reader *r)
{
	yaml_parser_t *p = &r->parser;
	char what[256];

	if (r->has_ev)
		yaml_event_delete(&r->ev);
	r->has_ev = yaml_parser_parse(p, &r->ev) == 1;
	if (r->has_ev)
		return 0;
	if (p->error == YAML_MEMORY_ERROR)
		return no_memory(r);
	if (p->error == YAML_READER_ERROR) {
		r->fail_line = 0;
		return ax_fail(r->e, AX_EDATA, "byte %zu: %s", p->problem_offset, p->problem ? p->problem : "not UTF-8 text");
	}
	snprintf(what, sizeof(what), "%s%s%s", p->problem ? p->problem : "malformed YAML", p->context ? " " : "",
		 p->context ? p->context : "");
	return fail_at(r, p->problem_mark, what);
}

static int count(struct reader *r, size_t nodes, int height)
{
	r->nodes += nodes;
	if (r->depth + height > r->deepest)
		r->deepest = r->depth + height;
	if (r->nodes > AX_YAML_NODES)
		return fail_at(r, r->ev.start_mark, "too many values (aliases included)");
	if (r->depth + height > AX_YAML_DEPTH)
		return fail_at(r, r->ev.start_mark, "nested too deeply");
	return 0;
}

static struct anchor *find_anchor(struct reader *r, const char *name)
{
	for (size_t i = 0; i < r->n_anchor; i++)
		if (strcmp(r->anchor[i].name, name) == 0)
			return &r->anchor[i];
	return NULL;
}

/* Note the anchor's name before its node is read, so that a repeated name is refused where it stands. */
static int begin_anchor(struct reader *r, const char *name, size_t *index)
{
	struct anchor *n;

	*index = SIZE_MAX;
	if (!name)
		return 0;
	if (find_anchor(r, name))
		return fail_at(r, r->ev.start_mark, "this anchor exists already");
	if (r->n_anchor == MAX_ANCHORS)
		return fail_at(r, r->ev.start_mark, "too many anchors");
	if (!AX_GROW(r->anchor, r->n_anchor, r->cap_anchor))
		return no_memory(r);
	n = &r->anchor[r->n_anchor];
	memset(n, 0, sizeof(*n));
	n->name = ax_arena_strndup(r->a, name, strlen(name));
	if (!n->name)
		return no_memory(r);
	*index = r->n_anchor++;
	return 0;
}

/* Type of a scalar with an explicit tag. */
static int tagged(struct reader *r, const char *tag, const char *s, size_t n, struct ax_val **v)
{
	static const struct {
		const char *tag;
		enum ax_val_type type;
	} known[] = {{TAG "bool", AX_BOOL}, {TAG "int", AX_INT}, {TAG "float", AX_FLOAT}, {TAG "null", AX_NULL}};

	if (strcmp(tag, TAG "str") == 0) {
		*v = ax_val_str(r->a, s, n);
		return *v ? 0 : no_memory(r);
	}
	*v = ax_yaml_plain(r->a, s, n);
	if (!*v)
		return no_memory(r);
	if (strcmp(tag, "!") == 0)
		return 0;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(tag, known[i].tag) != 0)
			continue;
		if (known[i].type == AX_FLOAT && (*v)->type == AX_INT) {
			(*v)->type = AX_FLOAT;
			(*v)->u.f = (double)(*v)->u.i;
		}
		return (*v)->type == known[i].type ? 0 : fail_at(r, r->ev.start_mark, "the value does not fit its tag");
	}
	return fail_at(r, r->ev.start_mark, "unsupported tag");
}

static int read_scalar(struct reader *r, struct ax_val **v)
{
	const char *s = (const char *)r->ev.data.scalar.value, *tag = (const char *)r->ev.data.scalar.tag;
	size_t n = r->ev.data.scalar.length;

	AX_TRY(count(r, 1, 0));
	if (tag)
		return tagged(r, tag, s, n, v);
	if (r->ev.data.scalar.plain_implicit && r->ev.data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		*v = ax_yaml_plain(r->a, s, n);
	else
		*v = ax_val_str(r->a, s, n);
	return *v ? 0 : no_memory(r);
}

static int read_alias(struct reader *r, struct ax_val **v)
{
	struct anchor *n = find_anchor(r, (const char *)r->ev.data.alias.anchor);

	if (!n)
		return fail_at(r, r->ev.start_mark, "undefined alias");
	if (!n->val)
		return fail_at(r, r->ev.start_mark, "an alias inside its own anchor");
	AX_TRY(count(r, n->nodes, n->height));
	*v = n->val;
	return 0;
}

static int read_node(struct reader *r, struct ax_val **v);

static int read_list(struct reader *r, struct ax_val **v)
{
	const char *tag = (const char *)r->ev.data.sequence_start.tag;
	struct ax_val *list = ax_val_list(r->a);

	if (!list)
		return no_memory(r);
	if (tag && strcmp(tag, TAG "seq") != 0 && strcmp(tag, "!") != 0)
		return fail_at(r, r->ev.start_mark, "unsupported tag");
	*v = list;
	for (;;) {
		struct ax_val *item;

		AX_TRY(next_event(r));
		if (r->ev.type == YAML_SEQUENCE_END_EVENT)
			return 0;
		AX_TRY(read_node(r, &item));
		if (!ax_val_push(r->a, list, item))
			return no_memory(r);
	}
}

/* Pairs of a map being read: those that `<<` brought come before its own, whatever the order in the text. */
struct pairs {
	struct ax_pair *p;
	size_t n, cap;
	size_t *line; /* of each key */
	size_t n_line, cap_line;
};

static bool add_pair(struct pairs *s, struct ax_pair pair, size_t line)
{
	if (!AX_GROW(s->p, s->n, s->cap) || !AX_GROW(s->line, s->n_line, s->cap_line))
		return false;
	s->p[s->n++] = pair;
	s->line[s->n_line++] = line;
	return true;
}

static bool add_map(struct pairs *s, const struct ax_val *map, size_t line)
{
	for (size_t i = 0; i < map->n; i++)
		if (!add_pair(s, map->u.pair[i], line))
			return false;
	return true;
}

/* The value of a `<<` key: a map, or a list of maps of which the first wins. */
static int merge(struct reader *r, yaml_mark_t at, struct pairs *s, const struct ax_val *v)
{
	size_t n = v->type == AX_LIST ? v->n : 1;

	for (size_t i = n; i-- > 0;) {
		const struct ax_val *m = v->type == AX_LIST ? v->u.item[i] : v;

		if (m->type != AX_MAP)
			return fail_at(r, at, "expected a mapping or list of mappings for merging");
		if (!add_map(s, m, at.line + 1))
			return no_memory(r);
	}
	return 0;
}

/* The key of a map, as the text written; *is_merge for a plain `<<`. */
static int read_key(struct reader *r, struct ax_pair *pair, bool *is_merge)
{
	if (r->ev.type == YAML_ALIAS_EVENT) {
		struct ax_val *v;

		AX_TRY(read_alias(r, &v));
		if (v->type != AX_STR)
			return fail_at(r, r->ev.start_mark, "an alias as a key must be of a string");
		pair->key = ax_val_cstr(r->a, v, NULL);
		pair->key_n = v->n;
		*is_merge = false;
		return pair->key ? 0 : no_memory(r);
	}
	if (r->ev.type != YAML_SCALAR_EVENT)
		return fail_at(r, r->ev.start_mark, "a key must be a scalar");
	AX_TRY(count(r, 1, 0));
	pair->key_n = r->ev.data.scalar.length;
	pair->key = ax_arena_strndup(r->a, (const char *)r->ev.data.scalar.value, pair->key_n);
	if (!pair->key)
		return no_memory(r);
	*is_merge = r->ev.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strcmp(pair->key, "<<") == 0;
	if (r->ev.data.scalar.anchor) {
		size_t i;

		AX_TRY(begin_anchor(r, (const char *)r->ev.data.scalar.anchor, &i));
		r->anchor[i].val = ax_val_str(r->a, pair->key, pair->key_n);
		r->anchor[i].nodes = 1;
		return r->anchor[i].val ? 0 : no_memory(r);
	}
	return 0;
}

static int read_pairs(struct reader *r, struct pairs *own, struct pairs *merged)
{
	for (;;) {
		struct ax_pair pair = {NULL, 0, NULL};
		yaml_mark_t at;
		bool is_merge = false;

		AX_TRY(next_event(r));
		if (r->ev.type == YAML_MAPPING_END_EVENT)
			return 0;
		at = r->ev.start_mark;
		AX_TRY(read_key(r, &pair, &is_merge));
		AX_TRY(next_event(r));
		AX_TRY(read_node(r, &pair.val));
		if (is_merge)
			AX_TRY(merge(r, at, merged, pair.val));
		else if (!add_pair(own, pair, at.line + 1))
			return no_memory(r);
	}
}

static int compare_keys(const void *x, const void *y)
{
	const struct ax_pair *const *p = x, *const *q = y;
	size_t n = (*p)->key_n < (*q)->key_n ? (*p)->key_n : (*q)->key_n;
	int c = memcmp((*p)->key, (*q)->key, n);

	if (!c)
		c = ((*p)->key_n > (*q)->key_n) - ((*p)->key_n < (*q)->key_n);
	return c ? c : (*p > *q) - (*p < *q);
}

/* PyYAML is silent about a key that stands in a map twice. */
static int warn_repeated(struct reader *r, const struct pairs *own)
{
	const struct ax_pair **sorted;

	if (!r->path || own->n < 2)
		return 0;
	sorted = ax_calloc(own->n, sizeof(*sorted));
	if (!sorted)
		return no_memory(r);
	for (size_t i = 0; i < own->n; i++)
		sorted[i] = &own->p[i];
	qsort(sorted, own->n, sizeof(*sorted), compare_keys);
	for (size_t i = 1; i < own->n; i++) {
		const struct ax_pair *a = sorted[i - 1], *b = sorted[i];

		if (a->key_n == b->key_n && !memcmp(a->key, b->key, a->key_n))
			ax_warn("%s:%zu: %.80s is already on line %zu; this one counts", r->path, own->line[b - own->p], b->key,
				own->line[a - own->p]);
	}
	ax_free(sorted);
	return 0;
}

static int read_map(struct reader *r, struct ax_val **v)
{
	const char *tag = (const char *)r->ev.data.mapping_start.tag;
	struct pairs own = {0}, merged = {0};
	int rc = 0;

	if (tag && strcmp(tag, TAG "map") != 0 && strcmp(tag, "!") != 0)
		return fail_at(r, r->ev.start_mark, "unsupported tag");
	AX_GOTO(read_pairs(r, &own, &merged));
	AX_GOTO(warn_repeated(r, &own));
	for (size_t i = 0; i < own.n; i++)
		if (!add_pair(&merged, own.p[i], own.line[i])) {
			rc = no_memory(r);
			goto out;
		}
	*v = ax_val_map_of(r->a, merged.p, merged.n);
	if (!*v)
		rc = no_memory(r);
out:
	ax_free(own.p);
	ax_free(own.line);
	ax_free(merged.p);
	ax_free(merged.line);
	return rc;
}

static int read_collection(struct reader *r, struct ax_val **v)
{
	uint32_t line = (uint32_t)r->ev.start_mark.line + 1;

	AX_TRY(count(r, 1, 1));
	r->depth++;
	AX_TRY(r->ev.type == YAML_SEQUENCE_START_EVENT ? read_list(r, v) : read_map(r, v));
	r->depth--;
	(*v)->line = line;
	return 0;
}

/* The node that the current event starts. */
static int read_node(struct reader *r, struct ax_val **v)
{
	uint32_t line = (uint32_t)r->ev.start_mark.line + 1;
	size_t index, nodes = r->nodes;
	int deepest = r->deepest;

	r->deepest = r->depth;
	switch (r->ev.type) {
	case YAML_ALIAS_EVENT:
		AX_TRY(read_alias(r, v));
		index = SIZE_MAX;
		break;
	case YAML_SCALAR_EVENT:
		AX_TRY(begin_anchor(r, (const char *)r->ev.data.scalar.anchor, &index));
		AX_TRY(read_scalar(r, v));
		(*v)->line = line;
		break;
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		AX_TRY(begin_anchor(r, (const char *)(r->ev.type == YAML_SEQUENCE_START_EVENT ? r->ev.data.sequence_start.anchor
											     : r->ev.data.mapping_start.anchor),
				    &index));
		AX_TRY(read_collection(r, v));
		break;
	default:
		return fail_at(r, r->ev.start_mark, "unexpected event");
	}
	if (index != SIZE_MAX) {
		r->anchor[index].val = *v;
		r->anchor[index].nodes = r->nodes - nodes;
		r->anchor[index].height = r->deepest - r->depth;
	}
	if (deepest > r->deepest)
		r->deepest = deepest;
	return 0;
}

static int read_stream(struct reader *r, struct ax_val **v)
{
	AX_TRY(next_event(r)); /* stream start */
	AX_TRY(next_event(r));
	if (r->ev.type == YAML_STREAM_END_EVENT) {
		*v = ax_val_null(r->a);
		return *v ? 0 : no_memory(r);
	}
	AX_TRY(next_event(r)); /* past document start */
	AX_TRY(read_node(r, v));
	AX_TRY(next_event(r)); /* document end */
	AX_TRY(next_event(r));
	if (r->ev.type != YAML_STREAM_END_EVENT)
		return fail_at(r, r->ev.start_mark, "expected a single document, found another");
	return 0;
}

/* Parse; *line is where an error was found, or 0. path: of the file, for warnings, or NULL. */
static int parse(struct ax_arena *a, const char *p, size_t n, const char *path, struct ax_val **v, size_t *line,
		 struct ax_err *e)
{
	struct reader r;
	int rc;

	memset(&r, 0, sizeof(r));
	r.a = a;
	r.e = e;
	r.path = path;
	*line = 0;
	if (n > AX_YAML_BYTES)
		return ax_fail(e, AX_EMEM, "more than %zu bytes of YAML", AX_YAML_BYTES);
	if (!yaml_parser_initialize(&r.parser))
		return no_memory(&r);
	if (n >= 3 && !memcmp(p, "\xef\xbb\xbf", 3)) { /* byte-order mark; libyaml skips it only where it guesses the encoding */
		p += 3;
		n -= 3;
	}
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)p, n);
	rc = read_stream(&r, v);
	if (r.has_ev)
		yaml_event_delete(&r.ev);
	yaml_parser_delete(&r.parser);
	ax_free(r.anchor);
	*line = r.fail_line;
	return rc;
}

int ax_yaml_parse(struct ax_arena *a, const char *p, size_t n, struct ax_val **v, struct ax_err *e)
{
	size_t line;

	return parse(a, p, n, NULL, v, &line, e);
}

/* "line L, column C: what" becomes "PATH:L: what". */
static void name_place(struct ax_err *e, const char *path, size_t line)
{
	char what[AX_ERR_MAX];
	const char *colon = e ? strstr(e->msg, ": ") : NULL;

	if (!e)
		return;
	snprintf(what, sizeof(what), "%s", line && colon ? colon + 2 : e->msg);
	snprintf(e->msg, sizeof(e->msg), "%s", what);
	if (line)
		ax_err_prefix(e, "%s:%zu: ", path, line);
	else
		ax_err_prefix(e, "%s: ", path);
}

int ax_yaml_file(struct ax_arena *a, const char *path, struct ax_val **v, struct ax_err *e)
{
	const char *shown = strcmp(path, "-") == 0 ? "stdin" : path;
	struct ax_buf b = AX_BUF_INIT;
	size_t line;
	int rc;

	AX_GOTO(ax_read_file(path, AX_YAML_BYTES, &b, e));
	rc = parse(a, b.n ? b.p : "", b.n, shown, v, &line, e);
	if (rc)
		name_place(e, shown, line);
out:
	ax_buf_release(&b);
	return rc;
}

int ax_yaml_scalar(struct ax_arena *a, const char *text, struct ax_val **v, struct ax_err *e)
{
	size_t n = strlen(text);

	if (*text && strchr("[{\"'!|>", *text)) {
		if (ax_yaml_parse(a, text, n, v, e) == 0)
			return 0;
		ax_err_prefix(e, "'%.60s' is not YAML: ", text);
		if (e && e->code == AX_EDATA)
			e->code = AX_EUSAGE;
		return e ? e->code : AX_EUSAGE;
	}
	*v = ax_yaml_plain(a, text, n);
	return *v ? 0 : ax_fail(e, AX_EMEM, "out of memory");
}

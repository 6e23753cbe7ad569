#include "text/json.h"

#include <math.h>
#include <string.h>

#include "base/io.h"
#include "text/json_impl.h"

#define VAL_CHUNK ((size_t)32) /* values taken from the arena at a time */

static int parse_value(struct ax_json_reader *r, struct ax_val **out);

static inline void skip_space(struct ax_json_reader *r)
{
	for (; r->p < r->end; r->p++) {
		char c = *r->p;

		if (c == '\n') {
			r->line++;
			r->line_begin = r->p + 1;
		} else if (c != ' ' && c != '\t' && c != '\r') {
			return;
		}
	}
}

static struct ax_val *new_val(struct ax_json_reader *r, enum ax_val_type type)
{
	struct ax_val *v;

	if (r->n_spare == 0) {
		r->spare = ax_arena_alloc(r->a, VAL_CHUNK * sizeof(*r->spare));
		if (!r->spare)
			return NULL;
		r->n_spare = VAL_CHUNK;
	}
	v = r->spare++;
	r->n_spare--;
	v->type = type;
	v->terminated = v->number = false;
	v->line = r->line;
	v->n = 0;
	v->u.item = NULL;
	return v;
}

static bool push(struct ax_json_reader *r, struct ax_pair pair)
{
	struct ax_json_stack *s = &r->st;

	if (s->n == s->cap) {
		size_t cap = s->cap * 2;
		struct ax_pair *p = ax_realloc_array(s->p == s->fixed ? NULL : s->p, cap, sizeof(*p));

		if (!p)
			return false;
		if (s->p == s->fixed)
			memcpy(p, s->fixed, sizeof(s->fixed));
		s->p = p;
		s->cap = cap;
	}
	s->p[s->n++] = pair;
	return true;
}

/* A number at r->p; v is an AX_INT. */
static int parse_number(struct ax_json_reader *r, struct ax_val *v)
{
	int rc = ax_json_number(&r->p, r->end, v);

	return rc == AX_EDATA ? ax_json_fail(r, r->p, "expected a value") : rc ? ax_json_no_memory(r) : 0;
}

static bool word(struct ax_json_reader *r, const char *w)
{
	size_t n = strlen(w);

	if ((size_t)(r->end - r->p) < n || memcmp(r->p, w, n) != 0)
		return false;
	r->p += n;
	return true;
}

static int parse_scalar(struct ax_json_reader *r, struct ax_val *v)
{
	if (word(r, "true") || word(r, "false")) {
		v->type = AX_BOOL;
		v->u.b = r->p[-2] == 'u';
		return 0;
	}
	if (word(r, "null")) {
		v->type = AX_NULL;
		return 0;
	}
	if (word(r, "NaN") || word(r, "Infinity") || word(r, "-Infinity")) {
		v->type = AX_FLOAT;
		v->u.f = r->p[-1] == 'N' ? (double)NAN : r->p - r->begin >= 9 && r->p[-9] == '-' ? -HUGE_VAL : HUGE_VAL;
		return 0;
	}
	return parse_number(r, v);
}

/* After an element: ',' goes on, `close` ends. */
static int separator(struct ax_json_reader *r, char close, bool *more)
{
	skip_space(r);
	if (r->p == r->end)
		return ax_json_fail(r, r->p, close == ']' ? "unterminated array" : "unterminated object");
	if (*r->p != ',' && *r->p != close)
		return ax_json_fail(r, r->p, close == ']' ? "expected ',' or ']'" : "expected ',' or '}'");
	*more = *r->p++ == ',';
	return 0;
}

/* Is the container that r->p stands on empty? Then moves behind it. */
static bool empty(struct ax_json_reader *r, char close)
{
	r->p++;
	skip_space(r);
	if (r->p < r->end && *r->p == close) {
		r->p++;
		return true;
	}
	return false;
}

static int parse_array(struct ax_json_reader *r, struct ax_val *v)
{
	size_t base = r->st.n;
	bool more = true, ok;

	if (empty(r, ']'))
		return 0;
	while (more) {
		struct ax_pair el = {NULL, 0, NULL};

		AX_TRY(parse_value(r, &el.val));
		if (!push(r, el))
			return ax_json_no_memory(r);
		AX_TRY(separator(r, ']', &more));
	}
	/* The values alone, moved to the front of the pairs they came in. */
	struct ax_val **item = (struct ax_val **)(void *)(r->st.p + base);
	for (size_t i = 0; base + i < r->st.n; i++)
		item[i] = r->st.p[base + i].val;
	ok = ax_val_list_into(r->a, v, item, r->st.n - base);
	r->st.n = base;
	return ok ? 0 : ax_json_no_memory(r);
}

static int parse_object(struct ax_json_reader *r, struct ax_val *v)
{
	size_t base = r->st.n;
	bool more = true, ok;

	if (empty(r, '}'))
		return 0;
	while (more) {
		struct ax_pair el = {NULL, 0, NULL};

		skip_space(r);
		if (r->p == r->end || *r->p != '"')
			return ax_json_fail(r, r->p, "expected a key in double quotes");
		AX_TRY(ax_json_str(r, true, &el.key, &el.key_n));
		skip_space(r);
		if (r->p == r->end || *r->p != ':')
			return ax_json_fail(r, r->p, "expected ':'");
		r->p++;
		AX_TRY(parse_value(r, &el.val));
		if (!push(r, el))
			return ax_json_no_memory(r);
		AX_TRY(separator(r, '}', &more));
	}
	ok = ax_val_map_into(r->a, v, r->st.p + base, r->st.n - base);
	r->st.n = base;
	return ok ? 0 : ax_json_no_memory(r);
}

static int parse_value(struct ax_json_reader *r, struct ax_val **out)
{
	struct ax_val *v;
	int rc;

	skip_space(r);
	if (r->p == r->end)
		return ax_json_fail(r, r->p, "expected a value, found the end");
	v = *out = new_val(r, AX_INT);
	if (!v)
		return ax_json_no_memory(r);
	switch (*r->p) {
	case '"':
		v->type = AX_STR;
		return ax_json_str(r, false, &v->u.s, &v->n);
	case '[':
	case '{':
		if (r->depth == AX_JSON_DEPTH)
			return ax_json_fail(r, r->p, "nested too deeply");
		r->depth++;
		v->type = *r->p == '[' ? AX_LIST : AX_MAP;
		rc = v->type == AX_LIST ? parse_array(r, v) : parse_object(r, v);
		r->depth--;
		return rc;
	default:
		return parse_scalar(r, v);
	}
}

int ax_json_parse(struct ax_arena *a, const char *p, size_t n, struct ax_val **v, struct ax_err *e)
{
	struct ax_json_reader r;
	int rc;

	if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
		p += 3;
		n -= 3;
	}
	r.a = a;
	r.begin = r.p = r.line_begin = p;
	r.end = p + n;
	r.line = 1;
	r.depth = 0;
	r.spare = NULL;
	r.n_spare = 0;
	r.st.p = r.st.fixed;
	r.st.n = 0;
	r.st.cap = AX_JSON_FIXED;
	r.e = e;
	r.scan = ax_json_scan_of(AX_JSON_BEST);
	r.utf8 = AX_JSON_UNKNOWN;
	memset(r.key, 0, sizeof(r.key));
	rc = parse_value(&r, v);
	if (!rc) {
		skip_space(&r);
		if (r.p < r.end)
			rc = ax_json_fail(&r, r.p, "text after the value");
	}
	if (r.st.p != r.st.fixed)
		ax_free(r.st.p);
	return rc;
}

int ax_json_file(struct ax_arena *a, const char *path, size_t limit, struct ax_val **v, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	char *text;
	int rc;

	AX_GOTO(ax_read_file(path, limit, &b, e));
	text = ax_arena_strndup(a, b.n ? b.p : "", b.n);
	if (!text) {
		rc = ax_fail(e, AX_EMEM, "%s: out of memory", path);
		goto out;
	}
	rc = ax_json_parse(a, text, b.n, v, e);
	if (rc)
		ax_err_prefix(e, "%s: ", path);
out:
	ax_buf_release(&b);
	return rc;
}

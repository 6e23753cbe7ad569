#include "text/json.h"

#include <math.h>
#include <string.h>

#include "base/io.h"
#include "text/json_impl.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define VAL_CHUNK ((size_t)32) /* values taken from the arena at a time */
#define FIXED_PAIRS ((size_t)64)

/* Elements of all open containers, innermost last; the first FIXED_PAIRS cost no allocation. */
struct stack {
	struct ax_pair *p;
	size_t n, cap;
	struct ax_pair fixed[FIXED_PAIRS];
};

struct reader {
	struct ax_arena *a;
	const char *begin, *p, *end;
	const char *line_begin;
	uint32_t line;
	int depth;
	struct ax_val *spare;
	size_t n_spare;
	struct stack st;
	struct ax_err *e;
};

static int parse_value(struct reader *r, struct ax_val **out);

/* Column in characters: continuation bytes do not count. */
static size_t column(const struct reader *r, const char *at)
{
	size_t col = 1;

	for (const char *p = r->line_begin; p < at; p++)
		col += ((unsigned char)*p & 0xc0) != 0x80;
	return col;
}

static int fail_at(struct reader *r, const char *at, const char *what)
{
	return ax_fail(r->e, AX_EDATA, "line %u, column %zu: %s", r->line, column(r, at), what);
}

static int no_memory(struct reader *r)
{
	return ax_fail(r->e, AX_EMEM, "out of memory while reading JSON");
}

static inline void skip_space(struct reader *r)
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

static struct ax_val *new_val(struct reader *r, enum ax_val_type type)
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

static bool push(struct reader *r, struct ax_pair pair)
{
	struct stack *s = &r->st;

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

/* First byte at or after p that is '"', '\\', a control or not ASCII. */
static inline const char *plain_end(const char *p, const char *end)
{
#if defined(__SSE2__)
	const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), low = _mm_set1_epi8(0x20);

	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		/* Signed: bytes from 0x80 up are negative, so one comparison finds them and the controls. */
		__m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)),
					   _mm_cmplt_epi8(v, low));
		int mask = _mm_movemask_epi8(hit);

		if (mask)
			return p + __builtin_ctz((unsigned)mask);
	}
#endif
	for (; p < end; p++) {
		unsigned char c = (unsigned char)*p;

		if (c == '"' || c == '\\' || c < 0x20 || c >= 0x80)
			break;
	}
	return p;
}

/* End of the run of valid non-ASCII characters at p; p itself if the first is not valid UTF-8. */
static const char *utf8_run(const char *p, const char *end)
{
	while (p < end && (unsigned char)*p >= 0x80) {
		const unsigned char *u = (const unsigned char *)p;
		ptrdiff_t left = end - p;
		unsigned char lo = 0x80, hi = 0xbf;
		int n;

		if (u[0] >= 0xc2 && u[0] <= 0xdf)
			n = 2;
		else if ((u[0] & 0xf0) == 0xe0)
			n = 3;
		else if (u[0] >= 0xf0 && u[0] <= 0xf4)
			n = 4;
		else
			return p;
		if (u[0] == 0xe0) /* overlong, surrogate, beyond U+10FFFF */
			lo = 0xa0;
		else if (u[0] == 0xed)
			hi = 0x9f;
		else if (u[0] == 0xf0)
			lo = 0x90;
		else if (u[0] == 0xf4)
			hi = 0x8f;
		if (left < n || u[1] < lo || u[1] > hi)
			return p;
		for (int i = 2; i < n; i++)
			if ((u[i] & 0xc0) != 0x80)
				return p;
		p += n;
	}
	return p;
}

/* Move over the plain part of a string: *stop is its closing quote or a backslash. */
static int scan_plain(struct reader *r, const char *p, const char **stop)
{
	for (;;) {
		const char *q;

		p = plain_end(p, r->end);
		if (p == r->end)
			return fail_at(r, r->p, "unterminated string");
		if (*p == '"' || *p == '\\') {
			*stop = p;
			return 0;
		}
		if ((unsigned char)*p < 0x20)
			return fail_at(r, p, "control character in a string");
		q = utf8_run(p, r->end);
		if (q < r->end && (unsigned char)*q >= 0x80)
			return fail_at(r, q, "invalid UTF-8");
		p = q;
	}
}

static int hex4(const char *p, const char *end)
{
	int v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = p[i];
		int d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;

		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

static char *put_utf8(char *o, uint32_t c)
{
	if (c < 0x80) {
		*o++ = (char)c;
	} else if (c < 0x800) {
		*o++ = (char)(0xc0 | c >> 6);
		*o++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*o++ = (char)(0xe0 | c >> 12);
		*o++ = (char)(0x80 | (c >> 6 & 0x3f));
		*o++ = (char)(0x80 | (c & 0x3f));
	} else {
		*o++ = (char)(0xf0 | c >> 18);
		*o++ = (char)(0x80 | (c >> 12 & 0x3f));
		*o++ = (char)(0x80 | (c >> 6 & 0x3f));
		*o++ = (char)(0x80 | (c & 0x3f));
	}
	return o;
}

/* "\uXXXX" at *p (on the backslash), with its second half for a pair. */
static int unicode_escape(struct reader *r, const char **p, char **o)
{
	const char *q = *p;
	int hi = hex4(q + 2, r->end), lo;
	uint32_t c;

	if (hi < 0)
		return fail_at(r, q, "\\u needs four hex digits");
	c = (uint32_t)hi;
	q += 6;
	if (c >= 0xd800 && c < 0xe000) {
		lo = r->end - q >= 6 && q[0] == '\\' && q[1] == 'u' ? hex4(q + 2, r->end) : -1;
		if (c >= 0xdc00 || lo < 0xdc00 || lo >= 0xe000)
			return fail_at(r, *p, "lone surrogate escape");
		c = 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)lo - 0xdc00);
		q += 6;
	}
	*o = put_utf8(*o, c);
	*p = q;
	return 0;
}

static int escape(struct reader *r, const char **p, char **o)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *hit;

	if (r->end - *p < 2)
		return fail_at(r, r->p, "unterminated string");
	if ((*p)[1] == 'u')
		return unicode_escape(r, p, o);
	hit = (*p)[1] ? strchr(from, (*p)[1]) : NULL;
	if (!hit)
		return fail_at(r, *p, "invalid escape");
	*(*o)++ = to[hit - from];
	*p += 2;
	return 0;
}

/* Bytes of the string between r->p (after its quote) and its closing quote: an upper bound for the decoded text. */
static int raw_length(struct reader *r, const char *p, size_t *n)
{
	const char *q = p;

	for (;;) {
		q = memchr(q, '"', (size_t)(r->end - q));
		if (!q)
			return fail_at(r, r->p, "unterminated string");
		/* A quote is escaped if an odd number of backslashes precedes it. */
		const char *b = q;
		while (b > p && b[-1] == '\\')
			b--;
		if (((q - b) & 1) == 0)
			break;
		q++;
	}
	*n = (size_t)(q - p);
	return 0;
}

/*
 * A string; r->p is on its opening quote. Without escapes *s points into the input, else to a decoded copy. With
 * `copy` it is always a NUL-terminated copy: keys.
 */
static int parse_str(struct reader *r, bool copy, const char **s, size_t *n)
{
	const char *from = r->p + 1, *p = from;
	size_t max = 0;
	char *buf, *o;

	AX_TRY(scan_plain(r, from, &p));
	if (*p == '"') {
		*n = (size_t)(p - from);
		*s = copy ? ax_arena_strndup(r->a, from, *n) : from;
		r->p = p + 1;
		return *s ? 0 : no_memory(r);
	}
	AX_TRY(raw_length(r, from, &max));
	o = buf = ax_arena_alloc(r->a, max + 1);
	if (!buf)
		return no_memory(r);
	for (;;) {
		memcpy(o, from, (size_t)(p - from));
		o += p - from;
		if (*p == '"')
			break;
		AX_TRY(escape(r, &p, &o));
		from = p;
		AX_TRY(scan_plain(r, from, &p));
	}
	*o = '\0';
	*s = buf;
	*n = (size_t)(o - buf);
	r->p = p + 1;
	return 0;
}

/* A number at r->p; v is an AX_INT. */
static int parse_number(struct reader *r, struct ax_val *v)
{
	int rc = ax_json_number(&r->p, r->end, v);

	return rc == AX_EDATA ? fail_at(r, r->p, "expected a value") : rc ? no_memory(r) : 0;
}

static bool word(struct reader *r, const char *w)
{
	size_t n = strlen(w);

	if ((size_t)(r->end - r->p) < n || memcmp(r->p, w, n) != 0)
		return false;
	r->p += n;
	return true;
}

static int parse_scalar(struct reader *r, struct ax_val *v)
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
static int separator(struct reader *r, char close, bool *more)
{
	skip_space(r);
	if (r->p == r->end)
		return fail_at(r, r->p, close == ']' ? "unterminated array" : "unterminated object");
	if (*r->p != ',' && *r->p != close)
		return fail_at(r, r->p, close == ']' ? "expected ',' or ']'" : "expected ',' or '}'");
	*more = *r->p++ == ',';
	return 0;
}

/* Is the container that r->p stands on empty? Then moves behind it. */
static bool empty(struct reader *r, char close)
{
	r->p++;
	skip_space(r);
	if (r->p < r->end && *r->p == close) {
		r->p++;
		return true;
	}
	return false;
}

static int parse_array(struct reader *r, struct ax_val *v)
{
	size_t base = r->st.n;
	struct ax_val *made;
	bool more = true;

	if (empty(r, ']'))
		return 0;
	while (more) {
		struct ax_pair el = {NULL, 0, NULL};

		AX_TRY(parse_value(r, &el.val));
		if (!push(r, el))
			return no_memory(r);
		AX_TRY(separator(r, ']', &more));
	}
	/* The values alone, moved to the front of the pairs they came in. */
	struct ax_val **item = (struct ax_val **)(void *)(r->st.p + base);
	for (size_t i = 0; base + i < r->st.n; i++)
		item[i] = r->st.p[base + i].val;
	made = ax_val_list_of(r->a, item, r->st.n - base);
	r->st.n = base;
	if (!made)
		return no_memory(r);
	v->n = made->n;
	v->u = made->u;
	return 0;
}

static int parse_object(struct reader *r, struct ax_val *v)
{
	size_t base = r->st.n;
	struct ax_val *made;
	bool more = true;

	if (empty(r, '}'))
		return 0;
	while (more) {
		struct ax_pair el = {NULL, 0, NULL};

		skip_space(r);
		if (r->p == r->end || *r->p != '"')
			return fail_at(r, r->p, "expected a key in double quotes");
		AX_TRY(parse_str(r, true, &el.key, &el.key_n));
		skip_space(r);
		if (r->p == r->end || *r->p != ':')
			return fail_at(r, r->p, "expected ':'");
		r->p++;
		AX_TRY(parse_value(r, &el.val));
		if (!push(r, el))
			return no_memory(r);
		AX_TRY(separator(r, '}', &more));
	}
	made = ax_val_map_of(r->a, r->st.p + base, r->st.n - base);
	r->st.n = base;
	if (!made)
		return no_memory(r);
	v->n = made->n;
	v->u = made->u;
	return 0;
}

static int parse_value(struct reader *r, struct ax_val **out)
{
	struct ax_val *v;
	int rc;

	skip_space(r);
	if (r->p == r->end)
		return fail_at(r, r->p, "expected a value, found the end");
	v = *out = new_val(r, AX_INT);
	if (!v)
		return no_memory(r);
	switch (*r->p) {
	case '"':
		v->type = AX_STR;
		return parse_str(r, false, &v->u.s, &v->n);
	case '[':
	case '{':
		if (r->depth == AX_JSON_DEPTH)
			return fail_at(r, r->p, "nested too deeply");
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
	struct reader r;
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
	r.st.cap = FIXED_PAIRS;
	r.e = e;
	rc = parse_value(&r, v);
	if (!rc) {
		skip_space(&r);
		if (r.p < r.end)
			rc = fail_at(&r, r.p, "text after the value");
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

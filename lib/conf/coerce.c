/* Values to the type of their key's row, as pydantic's lax mode would read them. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/key.h"
#include "text/json.h"

#define TEXT_MAX 64 /* longest text that can still be a number or a boolean word */

static bool is_range(const char *limit)
{
	return limit && (*limit == '[' || *limit == '(');
}

static bool in_range(const char *limit, double x)
{
	char *end;
	double low = strtod(limit + 1, &end);

	if (end != limit + 1 && (*limit == '[' ? x < low : x <= low))
		return false;
	const char *p = strchr(limit, ',') + 1;
	double high = strtod(p, &end);

	if (end == p)
		return true;
	return *end == ']' ? x <= high : x < high;
}

static bool is_choice(const char *limit, const char *s, size_t n)
{
	for (const char *p = limit; p && *p;) {
		size_t m = strcspn(p, "|");

		if (m == n && memcmp(p, s, n) == 0)
			return true;
		p += m + (p[m] == '|');
	}
	return false;
}

bool ax_key_is_choice(const struct ax_key *k, const char *text)
{
	return k->limit && !is_range(k->limit) && is_choice(k->limit, text, strlen(text));
}

static void add_list(struct ax_buf *b, const char *const *part, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ax_buf_addf(b, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ", part[i]);
}

static void expects_range(const char *limit, struct ax_buf *b)
{
	const char *comma = strchr(limit, ',');
	int low = (int)(comma - limit) - 1;

	if (low > 0)
		ax_buf_addf(b, " %s %.*s", *limit == '[' ? "at least" : "above", low, limit + 1);
	if (comma[1]) {
		int high = (int)strlen(comma + 1) - 1;
		bool closed = comma[high + 1] == ']';

		ax_buf_addf(b, "%s %s %.*s", low > 0 ? " and" : "", closed ? "at most" : "below", high, comma + 1);
	}
}

void ax_key_expects(const struct ax_key *k, struct ax_buf *b)
{
	const char *part[8];
	size_t n = 0;

	if (k->type & AX_KEY_BOOL)
		part[n++] = "true", part[n++] = "false";
	if (k->type & AX_KEY_INT)
		part[n++] = k->type & AX_KEY_NUM ? "a number" : "an integer";
	else if (k->type & AX_KEY_NUM)
		part[n++] = "a number";
	if (k->type & AX_KEY_STRS)
		part[n++] = "a list of strings";
	if (k->type & AX_KEY_LIST)
		part[n++] = "a list";
	if (k->type & AX_KEY_MAP)
		part[n++] = "a mapping";
	if (k->type & AX_KEY_STR && (!k->limit || is_range(k->limit)))
		part[n++] = "a string";
	if (k->limit && !is_range(k->limit)) {
		ax_buf_adds(b, n > 0 ? "" : "one of ");
		add_list(b, part, n);
		for (const char *p = k->limit; *p;) {
			size_t m = strcspn(p, "|");

			ax_buf_addf(b, "%s%.*s", n == 0 ? "" : p[m] ? ", " : " or ", (int)m, p);
			p += m + (p[m] == '|'), n++;
		}
		return;
	}
	add_list(b, part, n);
	if (k->limit)
		expects_range(k->limit, b);
}

/* true: *out is set. Python's float() and int() also take underscores between digits. */
static bool text_number(const struct ax_val *v, double *out, bool *integral)
{
	char buf[TEXT_MAX + 1], *end;
	size_t n = 0;

	if (v->n == 0 || v->n > TEXT_MAX)
		return false;
	for (size_t i = 0; i < v->n; i++) {
		char c = v->u.s[i];

		if (c == '_' && i > 0 && i + 1 < v->n && isdigit((unsigned char)v->u.s[i - 1]))
			continue;
		if (c == 'x' || c == 'X' || c == 'p' || c == 'P')
			return false;
		buf[n++] = c;
	}
	buf[n] = '\0';
	*out = strtod(buf, &end);
	*integral = *out == floor(*out) && fabs(*out) < 9e15;
	return end != buf && end[strspn(end, " \t")] == '\0';
}

static int text_bool(const struct ax_val *v)
{
	static const char *const yes[] = {"true", "on", "yes", "y", "t", "1"};
	static const char *const no[] = {"false", "off", "no", "n", "f", "0"};

	for (size_t i = 0; i < 6; i++) {
		if (strlen(yes[i]) == v->n && strncasecmp(v->u.s, yes[i], v->n) == 0)
			return 1;
		if (strlen(no[i]) == v->n && strncasecmp(v->u.s, no[i], v->n) == 0)
			return 0;
	}
	return -1;
}

static struct ax_val *from_text(struct ax_arena *a, const struct ax_key *k, const struct ax_val *v)
{
	double x;
	bool integral;

	if (k->type & AX_KEY_STR && (!k->limit || is_range(k->limit) || is_choice(k->limit, v->u.s, v->n)) &&
	    !(k->type & (AX_KEY_INT | AX_KEY_NUM) && text_number(v, &x, &integral)))
		return ax_val_copy(a, v);
	if (k->type & AX_KEY_BOOL && text_bool(v) >= 0)
		return ax_val_bool(a, text_bool(v));
	if (k->type & (AX_KEY_INT | AX_KEY_NUM) && text_number(v, &x, &integral)) {
		if (integral && k->type & AX_KEY_INT && !(k->type & AX_KEY_NUM && memchr(v->u.s, '.', v->n)))
			return ax_val_int(a, (int64_t)x);
		if (k->type & AX_KEY_NUM)
			return ax_val_float(a, x);
	}
	return NULL;
}

static struct ax_val *from_int(struct ax_arena *a, const struct ax_key *k, const struct ax_val *v)
{
	char buf[24];

	if (k->type & AX_KEY_INT)
		return ax_val_copy(a, v);
	if (k->type & AX_KEY_NUM)
		return ax_val_float(a, (double)v->u.i);
	if (k->type & AX_KEY_BOOL && (v->u.i == 0 || v->u.i == 1))
		return ax_val_bool(a, v->u.i);
	if (k->type & AX_KEY_STR && !k->limit)
		return ax_val_str(a, buf, (size_t)snprintf(buf, sizeof(buf), "%lld", (long long)v->u.i));
	return NULL;
}

static struct ax_val *from_float(struct ax_arena *a, const struct ax_key *k, const struct ax_val *v)
{
	double f = v->u.f;

	if (k->type & AX_KEY_NUM)
		return ax_val_copy(a, v);
	if (k->type & AX_KEY_INT && f == floor(f) && fabs(f) < 9e15)
		return ax_val_int(a, (int64_t)f);
	if (k->type & AX_KEY_BOOL && (f == 0 || f == 1))
		return ax_val_bool(a, f == 1);
	return NULL;
}

/* A bare `no` is false in YAML 1.1, where save_strategy and others mean the word. */
static struct ax_val *from_bool(struct ax_arena *a, const struct ax_key *k, const struct ax_val *v)
{
	if (k->type & AX_KEY_BOOL)
		return ax_val_copy(a, v);
	if (k->type & AX_KEY_STR && !v->u.b && k->limit && is_choice(k->limit, "no", 2))
		return ax_val_str(a, "no", 2);
	if (k->type & AX_KEY_INT)
		return ax_val_int(a, v->u.b);
	if (k->type & AX_KEY_NUM)
		return ax_val_float(a, v->u.b);
	return NULL;
}

static struct ax_val *from_list(struct ax_arena *a, const struct ax_key *k, const struct ax_val *v)
{
	if (k->type & AX_KEY_LIST)
		return ax_val_copy(a, v);
	for (size_t i = 0; k->type & AX_KEY_STRS && i < v->n; i++)
		if (v->u.item[i]->type != AX_STR)
			return NULL;
	return k->type & AX_KEY_STRS ? ax_val_copy(a, v) : NULL;
}

static struct ax_val *convert(struct ax_arena *a, const struct ax_key *k, const struct ax_val *v)
{
	switch (v->type) {
	case AX_NULL:
		return ax_val_null(a);
	case AX_BOOL:
		return from_bool(a, k, v);
	case AX_INT:
		return from_int(a, k, v);
	case AX_FLOAT:
		return from_float(a, k, v);
	case AX_STR:
		return from_text(a, k, v);
	case AX_LIST:
		return from_list(a, k, v);
	case AX_MAP:
		return k->type & AX_KEY_MAP ? ax_val_copy(a, v) : NULL;
	}
	return NULL;
}

static bool fits(const struct ax_key *k, const struct ax_val *v)
{
	if (v->type == AX_FLOAT && !isfinite(v->u.f) && k->type & AX_KEY_NUM)
		return false;
	if (!is_range(k->limit))
		return true;
	if (v->type == AX_INT)
		return in_range(k->limit, (double)v->u.i);
	return v->type != AX_FLOAT || in_range(k->limit, v->u.f);
}

/* A string that a C string would cut, at any depth: a path would be another one. */
static bool has_nul(const struct ax_val *v)
{
	if (v->type == AX_STR)
		return v->n && memchr(v->u.s, '\0', v->n);
	for (size_t i = 0; (v->type == AX_LIST || v->type == AX_MAP) && i < v->n; i++)
		if (has_nul(v->type == AX_LIST ? v->u.item[i] : v->u.pair[i].val) ||
		    (v->type == AX_MAP && memchr(v->u.pair[i].key, '\0', v->u.pair[i].key_n)))
			return true;
	return false;
}

int ax_key_coerce(struct ax_arena *a, const struct ax_key *k, const struct ax_val *v, const char *what,
		  struct ax_val **out, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_val *got = convert(a, k, v);
	size_t cut;

	if (has_nul(v))
		return ax_fail(e, AX_EUSAGE, "%s: a NUL character in a string", what);
	if (got && fits(k, got)) {
		got->line = v->line;
		*out = got;
		return 0;
	}
	ax_buf_addf(&b, "%s: expected ", what);
	ax_key_expects(k, &b);
	ax_buf_adds(&b, ", got ");
	cut = b.n + 120;
	ax_json_write(&b, v, AX_JSON_SPACED);
	if (b.n > cut)
		b.n = cut, b.p[cut] = '\0', ax_buf_adds(&b, "…");
	int rc = b.oom ? ax_fail(e, AX_EMEM, "%s: out of memory", what) : ax_fail(e, AX_EUSAGE, "%s", b.p);

	ax_buf_release(&b);
	return rc;
}

#include "tok/chat_text.h"

#include <string.h>

#include "base/buf.h"
#include "text/unicode.h"

static int no_memory(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory");
}

static bool is_start(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

size_t ax_count_chars(const char *s, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		k += is_start(s[i]);
	return k;
}

size_t ax_char_offset(const char *s, size_t n, struct ax_char_place *place, size_t i)
{
	if (i < place->at / 2)
		*place = (struct ax_char_place){0, 0};
	for (; place->at < i && place->off < n; place->at++)
		do
			place->off++;
		while (place->off < n && !is_start(s[place->off]));
	for (; place->at > i; place->at--)
		do
			place->off--;
		while (!is_start(s[place->off]));
	return place->off;
}

/* Offsets far beyond any text, so that adding one to them is safe. */
static int64_t clamp(int64_t v)
{
	const int64_t far = (int64_t)1 << 48;

	return v < -far ? -far : v > far ? far : v;
}

int ax_parts_read(struct ax_parts *p, const struct ax_val *list, struct ax_arena *a, struct ax_err *e)
{
	struct ax_part *part;

	if (list->type != AX_LIST)
		return ax_fail(e, AX_EDATA, "the training detail is no list");
	part = ax_arena_calloc(a, list->n + 1, sizeof(*part));
	if (!part)
		return no_memory(e);
	for (size_t i = 0; i < list->n; i++) {
		const struct ax_val *b = ax_val_get(list->u.item[i], "begin_offset");
		const struct ax_val *end = ax_val_get(list->u.item[i], "end_offset");
		const struct ax_val *train = ax_val_get(list->u.item[i], "train");

		if (!b || b->type != AX_INT || !end || end->type != AX_INT || !train)
			return ax_fail(e, AX_EDATA, "training detail %zu lacks begin_offset, end_offset or train",
				       i + 1);
		part[i] = (struct ax_part){clamp(b->u.i), clamp(end->u.i), ax_val_truthy(train)};
	}
	*p = (struct ax_parts){part, list->n, true};
	return 0;
}

static const struct ax_val *part_text(const struct ax_val *part)
{
	static const char *const key[] = {"text", "content", "value"};

	for (size_t i = 0; i < 3; i++) {
		const struct ax_val *v = ax_val_get(part, key[i]);

		if (ax_val_truthy(v))
			return v;
	}
	return NULL;
}

/* A weight other than the number 0 trains; `train` wins over `weight`; *said tells whether either is there. */
static bool part_flag(const struct ax_val *part, bool *said)
{
	const struct ax_val *train = ax_val_get(part, "train"), *weight = ax_val_get(part, "weight");

	if (!ax_val_is_null(train)) {
		*said = true;
		return ax_val_truthy(train);
	}
	if (!ax_val_is_null(weight)) {
		*said = true;
		return ax_val_truthy(weight) || (weight->type != AX_INT && weight->type != AX_FLOAT && weight->type != AX_BOOL);
	}
	return true;
}

int ax_parts_join(struct ax_val *msg, const char *key, struct ax_parts *p, struct ax_arena *a, struct ax_err *e)
{
	const struct ax_val *list = ax_val_get(msg, key);
	struct ax_buf b = AX_BUF_INIT;
	struct ax_part *part;
	struct ax_val *joined;
	bool said = false;
	size_t n = 0;
	int64_t at = 0;

	if (!list || list->type != AX_LIST)
		return 0;
	part = ax_arena_calloc(a, list->n + 1, sizeof(*part));
	if (!part)
		return no_memory(e);
	for (size_t i = 0; i < list->n; i++) {
		const struct ax_val *text = part_text(list->u.item[i]);
		bool train = part_flag(list->u.item[i], &said);
		int64_t chars;

		if (list->u.item[i]->type != AX_MAP || (text && text->type != AX_STR)) {
			ax_buf_release(&b);
			return ax_fail(e, AX_EDATA, "part %zu of \"%s\" is no object with a text", i + 1, key);
		}
		if (!text)
			continue;
		chars = (int64_t)ax_count_chars(text->u.s, text->n);
		ax_buf_add(&b, text->u.s, text->n);
		part[n++] = (struct ax_part){at, at + chars - 1, train};
		at += chars;
	}
	joined = b.oom ? NULL : ax_val_str(a, b.p ? b.p : "", b.n);
	ax_buf_release(&b);
	if (!joined || !ax_val_set(a, msg, key, joined))
		return no_memory(e);
	if (said)
		*p = (struct ax_parts){part, n, true};
	return 0;
}

struct slice {
	const char *p;
	size_t n;
};

/* Is the first character (or the last) one that str.strip() takes? Its length in bytes, or 0. */
static size_t space_at(const char *s, size_t n, bool last)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t at = last ? n - 1 : 0, len;
	uint32_t c;

	while (last && at && n - at < 4 && (p[at] & 0xc0) == 0x80)
		at--;
	c = ax_utf8_get(p + at, &len);
	if (at + len > n)
		return 0;
	return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
		       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000
		   ? len
		   : 0;
}

void ax_text_strip(const char **s, size_t *n, bool right)
{
	size_t len;

	while (*n && (len = space_at(*s, *n, false))) {
		*s += len;
		*n -= len;
	}
	while (right && *n && (len = space_at(*s, *n, true)))
		*n -= len;
}

static struct slice strip_left(struct slice s)
{
	ax_text_strip(&s.p, &s.n, false);
	return s;
}

static struct slice strip(struct slice s)
{
	ax_text_strip(&s.p, &s.n, true);
	return s;
}

static const char *find(struct slice s, const char *needle)
{
	size_t m = strlen(needle);

	for (size_t i = 0; i + m <= s.n; i++)
		if (!memcmp(s.p + i, needle, m))
			return s.p + i;
	return NULL;
}

/* The text between the first opening and the first closing tag, and what follows; false without both in order. */
static bool between(struct slice s, const char *open, const char *close, struct slice *in, struct slice *rest)
{
	const char *b = find(s, open), *c = find(s, close);

	if (!b || !c || c < b + strlen(open))
		return false;
	b += strlen(open);
	*in = (struct slice){b, (size_t)(c - b)};
	c += strlen(close);
	*rest = (struct slice){c, (size_t)(s.p + s.n - c)};
	return true;
}

int ax_split_thinking(struct ax_val *msg, const char *key, struct ax_arena *a, struct ax_err *e)
{
	static const char *const tag[][2] = {
	    {"<think>", "</think>"}, {"<reasoning>", "</reasoning>"}, {"<|begin_of_thought|>", "<|end_of_thought|>"}};
	const struct ax_val *v = ax_val_get(msg, "content");
	struct slice s, think, rest, solution, after;

	if (!v || v->type != AX_STR)
		return 0;
	s = (struct slice){v->u.s, v->n};
	for (size_t i = 0; i < sizeof(tag) / sizeof(tag[0]); i++) {
		if (!between(s, tag[i][0], tag[i][1], &think, &rest))
			continue;
		rest = strip_left(rest);
		if (between(rest, "<|begin_of_solution|>", "<|end_of_solution|>", &solution, &after))
			rest = strip(solution);
		think = strip(think);
		if (!ax_val_set(a, msg, key, ax_val_str(a, think.p, think.n)) ||
		    !ax_val_set(a, msg, "content", ax_val_str(a, rest.p, rest.n)))
			return no_memory(e);
		return 0;
	}
	return 0;
}

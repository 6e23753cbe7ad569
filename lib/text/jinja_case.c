/* Upper, lower and title case as Python's str, keeping each byte's origin. */
#include "text/jinja_case.h"

#include <string.h>

#include "text/jinja_lib.h"

#define SIGMA 0x3a3
#define FINAL_SIGMA 0x3c2

static bool in_ranges(const struct axj_case_range *t, size_t n, uint32_t c, uint32_t *to)
{
	size_t lo = 0, hi = n;

	while (lo < hi) { /* the first range that does not end before c */
		size_t mid = (lo + hi) / 2;

		if (t[mid].last < c)
			lo = mid + 1;
		else
			hi = mid;
	}
	/* Ranges with a step may lie within one another's gaps: look at the few that could hold c. */
	for (; lo < n && t[lo].first <= c; lo++)
		if (c <= t[lo].last && (c - t[lo].first) % t[lo].step == 0) {
			*to = (uint32_t)((int32_t)c + t[lo].delta);
			return true;
		}
	return false;
}

static size_t in_special(const struct axj_case_special *t, size_t n, uint32_t c, uint32_t to[3])
{
	size_t k = 0;

	for (size_t i = 0; i < n && t[i].c <= c; i++)
		if (t[i].c == c)
			for (; k < 3 && t[i].to[k]; k++)
				to[k] = t[i].to[k];
	return k;
}

static size_t map_ascii(enum axj_case kind, uint32_t c, uint32_t *to)
{
	uint32_t first = kind == AXJ_LOWER || kind == AXJ_FOLD ? 'A' : 'a';

	if (c < first || c > first + 25)
		return 0;
	*to = c ^ 32;
	return 1;
}

size_t axj_map_case(enum axj_case kind, uint32_t c, uint32_t to[3])
{
	size_t n;

	if (c < 0x80)
		return map_ascii(kind, c, to);
	if (kind == AXJ_FOLD) {
		n = in_special(axj_fold_special, axj_fold_special_n, c, to);
		if (n || in_ranges(axj_fold_range, axj_fold_range_n, c, to))
			return n ? n : 1;
	}
	if (kind == AXJ_LOWER || kind == AXJ_FOLD) {
		n = in_special(axj_lower_special, axj_lower_special_n, c, to);
		return n ? n : in_ranges(axj_lower_range, axj_lower_range_n, c, to);
	}
	if (kind == AXJ_TITLECASE) {
		if (in_ranges(axj_title_range, axj_title_range_n, c, to))
			return *to == c ? 0 : 1;
		n = in_special(axj_title_special, axj_title_special_n, c, to);
		if (n)
			return n;
	}
	n = in_special(axj_upper_special, axj_upper_special_n, c, to);
	return n ? n : in_ranges(axj_upper_range, axj_upper_range_n, c, to);
}

/* A capital sigma after a cased character and before none becomes the final form. */
static bool final_sigma(const struct axj_str *s, size_t i)
{
	uint32_t before = ' ', after = ' ';
	size_t len;

	for (size_t at = i; at > 0;) {
		while (--at > 0 && ((unsigned char)s->p[at] & 0xc0) == 0x80)
			;
		before = axj_get_char(s->p + at, s->n - at, &len);
		if (!axj_is(before, AXJ_IGNORABLE))
			break;
	}
	for (size_t at = i + 2; at < s->n; at += len) {
		after = axj_get_char(s->p + at, s->n - at, &len);
		if (!axj_is(after, AXJ_IGNORABLE))
			break;
	}
	return axj_is(before, AXJ_CASED) && !axj_is(before, AXJ_IGNORABLE) && !(axj_is(after, AXJ_CASED) && !axj_is(after, AXJ_IGNORABLE));
}

/* One run of bytes with one origin. */
static int put_run(struct axj *r, const struct axj_str *s, size_t from, size_t to, const struct ax_span *x, enum axj_case kind)
{
	unsigned flags = x->flags | (x->origin ? (unsigned)AX_SPAN_TRANSFORMED : 0);
	char t[512];
	size_t n = 0, len;

	for (size_t i = from; i < to; i += len) {
		uint32_t c = axj_get_char(s->p + i, to - i, &len), m[3];
		size_t k = axj_map_case(kind, c, m);

		if (kind == AXJ_LOWER && c == SIGMA && final_sigma(s, i))
			m[0] = FINAL_SIGMA;
		if (k == 0) {
			m[0] = c;
			k = 1;
		}
		for (size_t j = 0; j < k; j++)
			n += axj_put_char(m[j], t + n);
		if (n > sizeof(t) - 16) {
			AX_TRY(axj_put_span(r, t, n, x->origin, 0, flags));
			n = 0;
		}
	}
	return axj_put_span(r, t, n, x->origin, 0, flags);
}

int axj_put_case(struct axj *r, const struct axj_str *s, size_t from, size_t to, enum axj_case kind)
{
	struct ax_span one = {0, s->n, s->src, s->off, s->flags};

	AX_TRY(axj_step(r, (to - from) >> 4));
	if (!s->span)
		return put_run(r, s, from, to, &one, kind);
	for (size_t i = 0; i < s->n_span; i++) {
		const struct ax_span *x = &s->span[i];
		size_t lo = x->begin > from ? x->begin : from, hi = x->end < to ? x->end : to;

		if (lo < hi)
			AX_TRY(put_run(r, s, lo, hi, x, kind));
	}
	return 0;
}

int axj_case_str(struct axj *r, const struct axj_str *s, enum axj_case kind, struct axj_val *out)
{
	struct axj_capture c;

	axj_capture_begin(r, &c);
	AX_TRY(axj_put_case(r, s, 0, s->n, kind));
	return axj_capture_end(r, &c, out);
}

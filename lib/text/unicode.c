#include "text/unicode.h"

#include <string.h>

#include "base/mem.h"
#include "text/unicode_skip.h"

size_t ax_utf8_put(uint32_t c, char *out)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xC0 | c >> 6);
		out[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xE0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 63));
		out[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	out[0] = (char)(0xF0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 63));
	out[2] = (char)(0x80 | (c >> 6 & 63));
	out[3] = (char)(0x80 | (c & 63));
	return 4;
}

/*
 * Bytes of the well-formed character at p (limited by n); 0 if malformed, then *bad is the length of the maximal part
 * that could have begun one (at least 1).
 */
static size_t one(const unsigned char *p, size_t n, size_t *bad)
{
	unsigned char lo = 0x80, hi = 0xBF;
	size_t want;

	*bad = 1;
	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xC2 || p[0] > 0xF4)
		return 0;
	want = ax_utf8_len(p[0]);
	if (p[0] == 0xE0)
		lo = 0xA0;
	else if (p[0] == 0xED)
		hi = 0x9F;
	else if (p[0] == 0xF0)
		lo = 0x90;
	else if (p[0] == 0xF4)
		hi = 0x8F;
	for (size_t i = 1; i < want; i++) {
		if (i >= n || p[i] < lo || p[i] > hi) {
			*bad = i;
			return 0;
		}
		lo = 0x80;
		hi = 0xBF;
	}
	return want;
}

/* The first byte from i on that is not ASCII, or n. */
static inline size_t skip_ascii(const unsigned char *p, size_t i, size_t n)
{
	for (uint64_t w[4]; i + sizeof(w) <= n; i += sizeof(w)) {
		memcpy(w, p + i, sizeof(w));
		if ((w[0] | w[1] | w[2] | w[3]) & UINT64_C(0x8080808080808080))
			break;
	}
	while (i < n && p[i] < 0x80)
		i++;
	return i;
}

size_t ax_utf8_check(const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t i = ax_utf8_skip(p, 0, n), bad;

	while (i < n) {
		i = skip_ascii(p, i, n);
		while (i < n && p[i] >= 0x80) {
			size_t len = one(p + i, n - i, &bad);

			if (!len)
				return i;
			i += len;
		}
	}
	return n;
}

void ax_utf8_repair(struct ax_buf *b, const char *p, size_t n)
{
	while (n) {
		size_t ok = ax_utf8_check(p, n), bad;

		ax_buf_add(b, p, ok);
		p += ok;
		n -= ok;
		if (!n)
			break;
		one((const unsigned char *)p, n, &bad);
		ax_buf_add(b, "\xEF\xBF\xBD", 3);
		p += bad;
		n -= bad;
	}
}

/* Index of key c in a sorted table, or -1. */
static long find(const uint32_t *key, uint32_t n, uint32_t c)
{
	uint32_t lo = 0, hi = n;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (key[mid] < c)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && key[lo] == c ? (long)lo : -1;
}

size_t ax_uni_lower(uint32_t c, uint32_t out[3])
{
	long i = ax_uni(c) & AX_UNI_LOWER ? find(ax_uni_lower_key, ax_uni_lower_n, c) : -1;
	size_t n = 0;

	if (i < 0) {
		out[0] = c;
		return 1;
	}
	for (uint32_t k = ax_uni_lower_at[i]; k < ax_uni_lower_at[i + 1] && n < 3; k++)
		out[n++] = ax_uni_lower_pool[k];
	return n;
}

const uint32_t *ax_uni_script(const char *name, size_t n, size_t *n_range)
{
	char key[40];
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		char c = name[i];

		if (c == '_' || c == '-' || c == ' ')
			continue;
		if (k + 1 >= sizeof(key))
			return NULL;
		key[k++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
	key[k] = '\0';
	for (uint32_t i = 0; i < ax_uni_script_n; i++)
		if (!strcmp(key, ax_uni_script_name[i])) {
			*n_range = (size_t)(ax_uni_script_at[i + 1] - ax_uni_script_at[i]);
			return ax_uni_script_range + 2 * (size_t)ax_uni_script_at[i];
		}
	return NULL;
}

static uint32_t form_flag(enum ax_uni_form form)
{
	static const uint32_t flag[] = {AX_UNI_NFC, AX_UNI_NFD, AX_UNI_NFKC, AX_UNI_NFKD};

	return flag[form];
}

bool ax_uni_dirty(const char *text, size_t n, enum ax_uni_form form, size_t *pos, size_t *end)
{
	const unsigned char *p = (const unsigned char *)text;
	uint32_t flag = form_flag(form);
	size_t i = *pos, last = *pos, try_at = i, len;
	bool found = false;

	while (i < n) {
		uint32_t f;

		if (form == AX_NFC && !found && i >= try_at) {
			size_t r = ax_nfc_skip(p, i, n);

			try_at = r + (r - i < 64 ? 64 : 1);
			if (r > i) {
				i = r;
				for (last = r - 1; (p[last] & 0xC0) == 0x80;)
					last--;
				continue;
			}
		}
		if (p[i] < 0x80) { /* ASCII never changes, and nothing composes across it but onto it */
			if (found)
				break;
			i = skip_ascii(p, i, n);
			last = i - 1;
			continue;
		}
		f = ax_uni(ax_utf8_get(p + i, &len));
		if (f & flag)
			found = true;
		else if (found)
			break;
		else
			last = i;
		i += len;
	}
	if (!found)
		return false;
	*pos = last; /* the character before takes part: a mark may compose with it */
	*end = i;
	return true;
}

bool ax_uni_work_push(struct ax_uni_work *w, uint32_t cp, uint32_t from)
{
	if (w->n == w->cap) {
		size_t cap = w->cap + w->cap / 2 + 64;
		uint32_t *a = ax_realloc_array(w->cp, cap, sizeof(*a)), *b;

		if (!a)
			return false;
		w->cp = a;
		b = ax_realloc_array(w->from, cap, sizeof(*b));
		if (!b)
			return false;
		w->from = b;
		w->cap = cap;
	}
	w->cp[w->n] = cp;
	w->from[w->n++] = from;
	return true;
}

void ax_uni_work_release(struct ax_uni_work *w)
{
	ax_free(w->cp);
	ax_free(w->from);
	memset(w, 0, sizeof(*w));
}

enum { SBASE = 0xAC00, LBASE = 0x1100, VBASE = 0x1161, TBASE = 0x11A7, LCOUNT = 19, VCOUNT = 21, TCOUNT = 28 };

static bool decompose_one(struct ax_uni_work *w, uint32_t c, uint32_t from, bool compat)
{
	long i;

	if (c >= SBASE && c < SBASE + LCOUNT * VCOUNT * TCOUNT) {
		uint32_t s = c - SBASE, t = s % TCOUNT;

		return ax_uni_work_push(w, LBASE + s / (VCOUNT * TCOUNT), from) &&
		       ax_uni_work_push(w, VBASE + s % (VCOUNT * TCOUNT) / TCOUNT, from) &&
		       (!t || ax_uni_work_push(w, TBASE + t, from));
	}
	if (compat && (i = find(ax_uni_nfkd_key, ax_uni_nfkd_n, c)) >= 0) {
		for (uint32_t k = ax_uni_nfkd_at[i]; k < ax_uni_nfkd_at[i + 1]; k++)
			if (!ax_uni_work_push(w, ax_uni_nfkd_pool[k], from))
				return false;
		return true;
	}
	if ((i = find(ax_uni_nfd_key, ax_uni_nfd_n, c)) >= 0) {
		for (uint32_t k = ax_uni_nfd_at[i]; k < ax_uni_nfd_at[i + 1]; k++)
			if (!ax_uni_work_push(w, ax_uni_nfd_pool[k], from))
				return false;
		return true;
	}
	return ax_uni_work_push(w, c, from);
}

static uint32_t ccc(uint32_t c)
{
	return ax_uni(c) >> AX_UNI_CCC_SHIFT;
}

/* Merge the sorted halves of cp[0..n) by combining class, stably. */
static void merge_halves(uint32_t *cp, size_t half, size_t n, uint32_t *tmp)
{
	size_t a = 0, b = half, k = 0;

	while (a < half || b < n)
		tmp[k++] = cp[b >= n || (a < half && ccc(cp[a]) <= ccc(cp[b])) ? a++ : b++];
	memcpy(cp, tmp, n * sizeof(*cp));
}

/*
 * Stable sort of a run of marks: insertion while short, bottom-up merging beyond, so that long runs stay cheap. Where
 * they came from is not sorted with them: the run as a whole comes from the run, and origins stay ascending.
 */
static bool sort_marks(uint32_t *cp, size_t n)
{
	uint32_t *tmp;
	size_t step = n <= 32 ? n : 32;

	for (size_t lo = 0; lo < n; lo += step)
		for (size_t i = lo + 1; i < n && i < lo + step; i++) {
			uint32_t c = cp[i];
			size_t k = i;

			for (; k > lo && ccc(cp[k - 1]) > ccc(c); k--)
				cp[k] = cp[k - 1];
			cp[k] = c;
		}
	if (step == n)
		return true;
	tmp = ax_malloc(n * sizeof(*tmp));
	if (!tmp)
		return false;
	for (; step < n; step *= 2)
		for (size_t lo = 0; lo + step < n; lo += 2 * step)
			merge_halves(cp + lo, step, n - lo < 2 * step ? n - lo : 2 * step, tmp);
	ax_free(tmp);
	return true;
}

static bool reorder(struct ax_uni_work *w)
{
	for (size_t i = 0; i < w->n;) {
		size_t k = i;

		while (k < w->n && ccc(w->cp[k]))
			k++;
		if (k - i > 1 && !sort_marks(w->cp + i, k - i))
			return false;
		i = k + 1;
	}
	return true;
}

/* The composition of a pair, or 0. */
static uint32_t compose_pair(uint32_t a, uint32_t b)
{
	uint32_t lo = 0, hi = ax_uni_pair_n;

	if (a - LBASE < LCOUNT && b - VBASE < VCOUNT)
		return SBASE + ((a - LBASE) * VCOUNT + (b - VBASE)) * TCOUNT;
	if (a - SBASE < LCOUNT * VCOUNT * TCOUNT && (a - SBASE) % TCOUNT == 0 && b > TBASE && b < TBASE + TCOUNT)
		return a + (b - TBASE);
	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		const uint32_t *t = ax_uni_pair + 3 * (size_t)mid;

		if (t[0] < a || (t[0] == a && t[1] < b))
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < ax_uni_pair_n && ax_uni_pair[3 * (size_t)lo] == a && ax_uni_pair[3 * (size_t)lo + 1] == b)
		return ax_uni_pair[3 * (size_t)lo + 2];
	return 0;
}

/* Canonical composition: a character joins the last starter unless one of the same or a higher class is between. */
static void compose(struct ax_uni_work *w)
{
	size_t out = 0, starter = SIZE_MAX;
	uint32_t last = 0; /* class of the last character kept after the starter; 0: none */

	for (size_t i = 0; i < w->n; i++) {
		uint32_t c = w->cp[i], k = ccc(c), joined;

		if (starter != SIZE_MAX && (out == starter + 1 || (last != 0 && last < k)) &&
		    (joined = compose_pair(w->cp[starter], c))) {
			w->cp[starter] = joined;
			continue;
		}
		if (!k)
			starter = out;
		last = k;
		w->cp[out] = c;
		w->from[out++] = w->from[i];
	}
	w->n = out;
}

bool ax_uni_normalize(struct ax_uni_work *w, enum ax_uni_form form)
{
	struct ax_uni_work d = {0};
	bool ok = true;

	for (size_t i = 0; ok && i < w->n; i++)
		ok = decompose_one(&d, w->cp[i], w->from[i], form == AX_NFKC || form == AX_NFKD);
	ok = ok && reorder(&d);
	if (!ok) {
		ax_uni_work_release(&d);
		return false;
	}
	if (form == AX_NFC || form == AX_NFKC)
		compose(&d);
	ax_uni_work_release(w);
	*w = d;
	return true;
}

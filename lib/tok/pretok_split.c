#include "tok/pretok_split.h"

#include <string.h>

#include "text/unicode.h"

/* Classes of a character that the patterns tell apart. */
enum {
	C_L = 1,      /* \p{L} */
	C_M = 2,      /* \p{M} */
	C_N = 4,      /* \p{N} */
	C_S = 8,      /* \s */
	C_NL = 16,    /* \r \n */
	C_PS = 32,    /* \p{P} \p{S} */
	C_UPPER = 64, /* Lu Lt Lm Lo M: may stand in the first part of a word */
	C_LOWER = 128 /* Ll Lm Lo M: in the second */
};

static const unsigned char by_category[AX_GC_COUNT] = {
	[AX_GC_LU] = C_L | C_UPPER, [AX_GC_LL] = C_L | C_LOWER, [AX_GC_LT] = C_L | C_UPPER,
	[AX_GC_LM] = C_L | C_UPPER | C_LOWER, [AX_GC_LO] = C_L | C_UPPER | C_LOWER,
	[AX_GC_MN] = C_M | C_UPPER | C_LOWER, [AX_GC_MC] = C_M | C_UPPER | C_LOWER, [AX_GC_ME] = C_M | C_UPPER | C_LOWER,
	[AX_GC_ND] = C_N, [AX_GC_NL] = C_N, [AX_GC_NO] = C_N,
	[AX_GC_PC] = C_PS, [AX_GC_PD] = C_PS, [AX_GC_PS] = C_PS, [AX_GC_PE] = C_PS, [AX_GC_PI] = C_PS, [AX_GC_PF] = C_PS,
	[AX_GC_PO] = C_PS, [AX_GC_SM] = C_PS, [AX_GC_SC] = C_PS, [AX_GC_SK] = C_PS, [AX_GC_SO] = C_PS,
};

#define X4(a) a, a, a, a
#define X8(a) X4(a), X4(a)
#define PS C_PS
#define UP (C_L | C_UPPER)
#define LO (C_L | C_LOWER)

/* The same for ASCII. */
static const unsigned char ascii[128] = {
	X8(0), 0, C_S, C_S | C_NL, C_S, C_S, C_S | C_NL, 0, 0, X8(0), X8(0),
	C_S, PS, PS, PS, PS, PS, PS, PS, X8(PS), X8(C_N), C_N, C_N, PS, PS, PS, PS, PS, PS,
	PS, X8(UP), X8(UP), X8(UP), UP, UP, PS, PS, PS, PS, PS,
	PS, X8(LO), X8(LO), X8(LO), LO, LO, PS, PS, PS, PS, 0,
};

/* Class and length of the character at p[i]; at the end class 0 and length 0. */
static inline unsigned cls(const unsigned char *p, size_t i, size_t n, size_t *len)
{
	uint32_t f;

	if (i >= n) {
		*len = 0;
		return 0;
	}
	if (p[i] < 128) {
		*len = 1;
		return ascii[p[i]];
	}
	if (p[i] >= 0xE5 && p[i] <= 0xE8) { /* U+5000 to U+8FFF are all ideographs */
		*len = 3;
		return C_L | C_UPPER | C_LOWER;
	}
	f = ax_uni(ax_utf8_get(p + i, len));
	return by_category[f & AX_UNI_GC_MASK] | (f & AX_UNI_SPACE ? (unsigned)C_S : 0);
}

/* The end of the run from i of characters with a class in mask. */
static inline size_t run(const unsigned char *p, size_t i, size_t n, unsigned mask)
{
	size_t len;

	while (i < n && cls(p, i, n, &len) & mask)
		i += len;
	return i;
}

/* The end of the run from i of characters with no class in mask. */
static inline size_t run_not(const unsigned char *p, size_t i, size_t n, unsigned mask)
{
	size_t len;

	while (i < n && !(cls(p, i, n, &len) & mask))
		i += len;
	return i;
}

/* The end of a run of at most `max` numbers. */
static inline size_t digits(const unsigned char *p, size_t i, size_t n, int max)
{
	size_t len;

	for (; max > 0 && i < n && cls(p, i, n, &len) & C_N; max--)
		i += len;
	return i;
}

static inline size_t newlines(const unsigned char *p, size_t i, size_t n, bool slash)
{
	while (i < n && (p[i] == '\r' || p[i] == '\n' || (slash && p[i] == '/')))
		i++;
	return i;
}

/* 's 't 're 've 'm 'll 'd at p[i] == '\''; i if none. Without case, "ſ" (U+017F) folds to s. */
static inline size_t contraction(const unsigned char *p, size_t i, size_t n, bool fold)
{
	unsigned a = i + 1 < n ? p[i + 1] : 0, b = i + 2 < n ? p[i + 2] : 0;

	if (fold && a == 0xC5 && b == 0xBF)
		return i + 3;
	if (fold) {
		a |= a - 'A' < 26 ? 32 : 0;
		b |= b - 'A' < 26 ? 32 : 0;
	}
	if (a == 's' || a == 't' || a == 'm' || a == 'd')
		return i + 2;
	if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
		return i + 3;
	return i;
}

/* The start of the character that ends at i. */
static inline size_t back(const unsigned char *p, size_t i)
{
	do
		i--;
	while ((p[i] & 0xC0) == 0x80);
	return i;
}

/* \s+(?!\S)|\s+ at white space: all of it at the end of the text, else all but its last character, if that leaves any. */
static inline size_t blanks(const unsigned char *p, size_t i, size_t n)
{
	size_t j = run(p, i, n, C_S), k;

	if (j == n)
		return j;
	k = back(p, j);
	return k > i ? k : j;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ */
static inline size_t blanks_lines(const unsigned char *p, size_t i, size_t n)
{
	size_t j = run(p, i, n, C_S), k = j;

	while (k > i && p[k - 1] != '\n' && p[k - 1] != '\r')
		k--;
	if (k > i)
		return k;
	if (j == n)
		return j;
	k = back(p, j);
	return k > i ? k : j;
}

size_t ax_split_gpt2(const unsigned char *p, size_t i, size_t n)
{
	size_t len, j = i, end;
	unsigned c;

	if (p[i] == '\'' && (end = contraction(p, i, n, false)) > i)
		return end;
	j += p[i] == ' ';
	c = cls(p, j, n, &len);
	if (c & C_L)
		return run(p, j, n, C_L);
	if (c & C_N)
		return run(p, j, n, C_N);
	if (j < n && !(c & C_S))
		return run_not(p, j, n, C_S | C_L | C_N);
	return blanks(p, i, n);
}

/*
 * The family that cl100k began: (?i:'s|..)|[^\r\n\p{L}\p{N}]?WORD+|\p{N}{1,max}| ?[^\s WORD \p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 * where WORD is \p{L}, or with marks [\p{L}\p{M}].
 */
static inline size_t modern(const unsigned char *p, size_t i, size_t n, unsigned word, int max)
{
	size_t len, next, end;
	unsigned c = cls(p, i, n, &len);

	if (p[i] == '\'' && (end = contraction(p, i, n, true)) > i)
		return end;
	if (c & word)
		return run(p, i + len, n, word);
	if (!(c & (C_N | C_NL)) && cls(p, i + len, n, &next) & word)
		return run(p, i + len + next, n, word);
	if (c & C_N)
		return digits(p, i, n, max);
	if (!(c & C_S))
		return newlines(p, run_not(p, i, n, C_S | C_N | word), n, false);
	if (p[i] == ' ' && i + 1 < n && !(cls(p, i + 1, n, &next) & (C_S | C_N | word)))
		return newlines(p, run_not(p, i + 1, n, C_S | C_N | word), n, false);
	return blanks_lines(p, i, n);
}

size_t ax_split_llama3(const unsigned char *p, size_t i, size_t n)
{
	return modern(p, i, n, C_L, 3);
}

size_t ax_split_qwen2(const unsigned char *p, size_t i, size_t n)
{
	return modern(p, i, n, C_L, 1);
}

size_t ax_split_qwen35(const unsigned char *p, size_t i, size_t n)
{
	return modern(p, i, n, C_L | C_M, 1);
}

/*
 * U*l+ or U+l* at s, where U is [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and l is [\p{Ll}\p{Lm}\p{Lo}\p{M}]: the first alternative if
 * it can match (its U* gives characters back until l+ finds one), else the second. s if neither matches.
 */
static size_t cased_word(const unsigned char *p, size_t s, size_t n, bool *first)
{
	size_t u = run(p, s, n, C_UPPER), end = run(p, u, n, C_LOWER), k = u, len;

	*first = true;
	if (end > u)
		return end;
	while (k > s) {
		size_t b = back(p, k);

		if (cls(p, b, n, &len) & C_LOWER)
			return k;
		k = b;
	}
	*first = false;
	return u;
}

static size_t suffix(const unsigned char *p, size_t i, size_t n)
{
	return i < n && p[i] == '\'' ? contraction(p, i, n, true) : i;
}

/* The family that o200k began. */
static inline size_t cased(const unsigned char *p, size_t i, size_t n, int max, bool contractions)
{
	size_t len, next, end = i, plain = i;
	unsigned c = cls(p, i, n, &len);
	bool first = false, plain_first = false;

	if (!(c & (C_L | C_N | C_NL))) { /* one character before the word */
		end = cased_word(p, i + len, n, &first);
		if (end == i + len)
			end = i;
	}
	if (!first && c & (C_UPPER | C_LOWER)) { /* without it: the first alternative goes before the second */
		plain = cased_word(p, i, n, &plain_first);
		if (plain_first || end == i)
			end = plain;
	}
	if (end > i)
		return contractions ? suffix(p, end, n) : end;
	if (c & C_N)
		return digits(p, i, n, max);
	if (!(c & C_S))
		return newlines(p, run_not(p, i, n, C_S | C_L | C_N), n, true);
	if (p[i] == ' ' && i + 1 < n && !(cls(p, i + 1, n, &next) & (C_S | C_L | C_N)))
		return newlines(p, run_not(p, i + 1, n, C_S | C_L | C_N), n, true);
	return blanks_lines(p, i, n);
}

size_t ax_split_o200k(const unsigned char *p, size_t i, size_t n)
{
	return cased(p, i, n, 3, true);
}

size_t ax_split_tekken(const unsigned char *p, size_t i, size_t n)
{
	return cased(p, i, n, 1, false);
}

static inline bool ascii_letter(unsigned char c)
{
	return (unsigned char)((c | 32) - 'a') < 26;
}

/* DeepSeek-V3's third pattern; its first two are below. Characters of no class but letters, marks, P, S and blanks stay. */
static size_t split_dsv3(const unsigned char *p, size_t i, size_t n)
{
	size_t len, next, j;
	unsigned c = cls(p, i, n, &len);

	if (c & C_PS && p[i] < 128 && i + 1 < n && ascii_letter(p[i + 1])) {
		for (j = i + 1; j < n && ascii_letter(p[j]); j++)
			;
		return j;
	}
	if (c & (C_L | C_M))
		return run(p, i + len, n, C_L | C_M);
	if (!(c & (C_NL | C_PS)) && cls(p, i + len, n, &next) & (C_L | C_M))
		return run(p, i + len + next, n, C_L | C_M);
	if (c & C_PS)
		return newlines(p, run(p, i, n, C_PS), n, false);
	if (p[i] == ' ' && cls(p, i + 1, n, &next) & C_PS)
		return newlines(p, run(p, i + 1, n, C_PS), n, false);
	return c & C_S ? blanks_lines(p, i, n) : i;
}

static size_t split_digits3(const unsigned char *p, size_t i, size_t n)
{
	return digits(p, i, n, 3);
}

static size_t split_digits1(const unsigned char *p, size_t i, size_t n)
{
	return digits(p, i, n, 1);
}


/* [一-龥぀-ゟ゠-ヿ] : U+4E00..9FA5, U+3040..30FF */
static inline bool is_cjk(const unsigned char *p)
{
	size_t len;
	uint32_t c;

	if (p[0] < 0xE3 || p[0] > 0xE9)
		return false;
	c = ax_utf8_get(p, &len);
	return (c >= 0x4E00 && c <= 0x9FA5) || (c >= 0x3040 && c <= 0x30FF);
}

static size_t split_cjk(const unsigned char *p, size_t i, size_t n)
{
	while (i < n && is_cjk(p + i))
		i += 3;
	return i;
}

/* The first number or character of the second pattern from i on: between them the third pattern sees a text of its own. */
static size_t dsv3_border(const unsigned char *p, size_t i, size_t n)
{
	size_t len;

	while (i < n && !(cls(p, i, n, &len) & C_N) && !is_cjk(p + i))
		i += len;
	return i;
}

size_t ax_split_dsv3(const unsigned char *p, size_t i, size_t n, size_t *border)
{
	size_t len, to;

	if (cls(p, i, n, &len) & C_N)
		return digits(p, i, n, 3);
	if (i >= *border) /* the third pattern cuts the second one's pieces too: there are signs among them */
		*border = is_cjk(p + i) ? split_cjk(p, i, n) : dsv3_border(p, i, n);
	to = split_dsv3(p, i, *border);
	if (to > i)
		return to;
	do /* what does not match stays together */
		i += ax_utf8_len(p[i]);
	while (i < *border && split_dsv3(p, i, *border) == i);
	return i;
}

/* The first number from i on, as Rust sees it, which the pre-tokenizer Digits asks. */
static size_t next_number(const unsigned char *p, size_t i, size_t n)
{
	size_t len;

	for (; i < n && !(ax_uni(ax_utf8_get(p + i, &len)) & AX_UNI_RNUM); i += len)
		;
	return i;
}

size_t ax_split_digits_gpt2(const unsigned char *p, size_t i, size_t n, size_t *border)
{
	if (i >= *border)
		*border = next_number(p, i, n);
	return i == *border ? i + ax_utf8_len(p[i]) : ax_split_gpt2(p, i, *border);
}

bool ax_split_is_dsv3(ax_split_fn first, ax_split_fn second, ax_split_fn third)
{
	return first == split_digits3 && second == split_cjk && third == split_dsv3;
}

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define O200K_U "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define O200K_L "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define TAIL "|\\s+(?!\\S)|\\s+"

static const struct {
	const char *pattern;
	ax_split_fn fn;
} known[] = {
	{ "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+" TAIL, ax_split_gpt2 },
	{ CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+" TAIL, ax_split_llama3 },
	{ CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]" TAIL, ax_split_llama3 },
	{ CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+" TAIL, ax_split_qwen2 },
	{ CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+" TAIL, ax_split_qwen35 },
	{ "[^\\r\\n\\p{L}\\p{N}]?" O200K_U "*" O200K_L "+" CONTRACTIONS "?|[^\\r\\n\\p{L}\\p{N}]?" O200K_U "+" O200K_L "*" CONTRACTIONS
	  "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+" TAIL, ax_split_o200k },
	{ "[^\\r\\n\\p{L}\\p{N}]?" O200K_U "*" O200K_L "+|[^\\r\\n\\p{L}\\p{N}]?" O200K_U "+" O200K_L
	  "*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+" TAIL, ax_split_tekken },
	{ "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+" TAIL,
	  split_dsv3 },
	{ "\\p{N}{1,3}", split_digits3 },
	{ "\\p{N}", split_digits1 },
	{ "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", split_cjk },
};

ax_split_fn ax_split_find(const char *pattern, size_t n)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strlen(known[i].pattern) == n && !memcmp(known[i].pattern, pattern, n))
			return known[i].fn;
	return NULL;
}

const char *ax_split_pattern(size_t i)
{
	return i < sizeof(known) / sizeof(known[0]) ? known[i].pattern : NULL;
}

#include "text/regex_class.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"

#define MAX_NESTING 16

void ax_cset_add(struct ax_cset *s, uint32_t first, uint32_t last)
{
	if (s->n == s->cap) {
		size_t cap = s->cap + s->cap / 2 + 16;
		uint32_t *r = ax_realloc_array(s->r, cap, 2 * sizeof(*r));

		if (!r) {
			s->oom = true;
			return;
		}
		s->r = r;
		s->cap = cap;
	}
	s->r[2 * s->n] = first;
	s->r[2 * s->n++ + 1] = last;
}

void ax_cset_merge(struct ax_cset *s, const struct ax_cset *other)
{
	for (size_t i = 0; i < other->n; i++)
		ax_cset_add(s, other->r[2 * i], other->r[2 * i + 1]);
	s->oom |= other->oom;
}

static int by_first(const void *x, const void *y)
{
	const uint32_t *a = x, *b = y;

	return a[0] < b[0] ? -1 : a[0] > b[0];
}

void ax_cset_sort(struct ax_cset *s)
{
	size_t out = 0;

	if (!s->n)
		return;
	qsort(s->r, s->n, 2 * sizeof(*s->r), by_first);
	for (size_t i = 1; i < s->n; i++) {
		if (s->r[2 * i] <= s->r[2 * out + 1] + 1) {
			if (s->r[2 * i + 1] > s->r[2 * out + 1])
				s->r[2 * out + 1] = s->r[2 * i + 1];
		} else {
			out++;
			s->r[2 * out] = s->r[2 * i];
			s->r[2 * out + 1] = s->r[2 * i + 1];
		}
	}
	s->n = out + 1;
}

void ax_cset_negate(struct ax_cset *s)
{
	struct ax_cset t = {0};
	uint32_t next = 0;

	ax_cset_sort(s);
	t.oom = s->oom;
	for (size_t i = 0; i < s->n; i++) {
		if (s->r[2 * i] > next)
			ax_cset_add(&t, next, s->r[2 * i] - 1);
		next = s->r[2 * i + 1] + 1;
	}
	if (next <= 0x10FFFF)
		ax_cset_add(&t, next, 0x10FFFF);
	ax_cset_release(s);
	*s = t;
}

void ax_cset_intersect(struct ax_cset *s, const struct ax_cset *other)
{
	struct ax_cset o = {0};

	ax_cset_merge(&o, other);
	ax_cset_negate(s);
	ax_cset_negate(&o);
	ax_cset_merge(s, &o);
	ax_cset_negate(s);
	ax_cset_release(&o);
}

void ax_cset_release(struct ax_cset *s)
{
	ax_free(s->r);
	memset(s, 0, sizeof(*s));
}

#define BLOCK	   128 /* code points of one second-stage table */
#define MAX_BLOCKS 1024

enum { UNSEEN, MIXED, ALL_IN, ALL_OUT };

/* Is every code point of the block that starts at c in the class, or none? */
static int block_kind(uint32_t c, uint32_t gcm, uint32_t mask)
{
	size_t in = 0;

	for (uint32_t i = 0; i < BLOCK; i++)
		in += (ax_uni_gc_bit(c + i) & gcm) || (ax_uni(c + i) & mask);
	return in == BLOCK ? ALL_IN : in ? MIXED : ALL_OUT;
}

void ax_cset_add_props(struct ax_cset *s, uint32_t gcm, uint32_t mask)
{
	unsigned char kind[MAX_BLOCKS] = {UNSEEN}; /* by second-stage table: most are shared by many blocks */
	uint32_t first = 0;
	bool in = false;

	for (uint32_t c = 0; c <= 0x10FFFF; c += BLOCK) {
		uint16_t id = ax_uni_stage1[c / BLOCK];
		int k = id < MAX_BLOCKS ? kind[id] : UNSEEN;

		if (k == UNSEEN)
			k = block_kind(c, gcm, mask);
		if (id < MAX_BLOCKS)
			kind[id] = (unsigned char)k;
		if ((k == ALL_IN && in) || (k == ALL_OUT && !in))
			continue;
		for (uint32_t i = c; i < c + BLOCK; i++) {
			bool hit = (ax_uni_gc_bit(i) & gcm) || (ax_uni(i) & mask);

			if (hit && !in)
				first = i;
			if (!hit && in)
				ax_cset_add(s, first, i - 1);
			in = hit;
		}
	}
	if (in)
		ax_cset_add(s, first, 0x10FFFF);
}

/* ---- (?i) ---- */

/* The next character of the circle of those that (?i) takes for one another; c itself if it is alone. */
static uint32_t fold_next(uint32_t c)
{
	uint32_t lo = 0, hi = ax_uni_fold_n;

	while (lo < hi) { /* the first run that does not end before c */
		uint32_t mid = (lo + hi) / 2;

		if ((uint32_t)ax_uni_fold[4 * mid + 1] < c)
			lo = mid + 1;
		else
			hi = mid;
	}
	/* runs with a step may lie within one another's gaps */
	for (; lo < ax_uni_fold_n && (uint32_t)ax_uni_fold[4 * lo] <= c; lo++) {
		const int32_t *x = ax_uni_fold + 4 * lo;

		if (c <= (uint32_t)x[1] && (c - (uint32_t)x[0]) % (uint32_t)x[2] == 0)
			return (uint32_t)((int32_t)c + x[3]);
	}
	return c;
}

uint32_t ax_cset_fold_char(uint32_t c)
{
	uint32_t least = c;

	for (uint32_t k = fold_next(c); k != c; k = fold_next(k))
		least = k < least ? k : least;
	return least;
}

static bool has(const struct ax_cset *s, uint32_t c)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->r[2 * mid + 1] < c)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->n && s->r[2 * lo] <= c;
}

void ax_cset_fold(struct ax_cset *s)
{
	struct ax_cset more = {0};

	for (uint32_t k = 0; k < ax_uni_fold_n; k++) {
		const int32_t *x = ax_uni_fold + 4 * k;

		for (uint32_t c = (uint32_t)x[0]; c <= (uint32_t)x[1]; c += (uint32_t)x[2])
			for (uint32_t o = fold_next(c); has(s, c) && o != c; o = fold_next(o))
				ax_cset_add(&more, o, o);
	}
	ax_cset_merge(s, &more);
	ax_cset_release(&more);
	ax_cset_sort(s);
}

bool ax_cset_multi(const uint32_t *c, size_t n)
{
	for (uint32_t k = 0; k < ax_uni_multi_n; k++) {
		const uint32_t *x = ax_uni_multi + 4 * k;
		size_t len = x[3] ? 3 : 2, same = 0;

		if (n == 1 && x[0] == c[0])
			return true;
		while (n == len && same < n && ax_cset_fold_char(x[1 + same]) == c[same])
			same++;
		if (n == len && same == n)
			return true;
	}
	return false;
}

bool ax_cset_has_multi(const struct ax_cset *s)
{
	for (uint32_t k = 0; k < ax_uni_multi_n; k++)
		if (has(s, ax_uni_multi[4 * k]))
			return true;
	return false;
}

/* ---- names ---- */

static const struct {
	const char *name;
	uint32_t gcm;
} categories[] = {
    {"l", AX_GCM_L},	     {"m", AX_GCM_M},	     {"n", AX_GCM_N},		{"p", AX_GCM_P},
    {"s", AX_GCM_S},	     {"z", AX_GCM_Z},	     {"c", AX_GCM_C},		{"letter", AX_GCM_L},
    {"mark", AX_GCM_M},	     {"number", AX_GCM_N},   {"punctuation", AX_GCM_P}, {"symbol", AX_GCM_S},
    {"separator", AX_GCM_Z}, {"other", AX_GCM_C},    {"any", UINT32_MAX},	{"lu", 1u << AX_GC_LU},
    {"ll", 1u << AX_GC_LL},  {"lt", 1u << AX_GC_LT}, {"lm", 1u << AX_GC_LM},	{"lo", 1u << AX_GC_LO},
    {"mn", 1u << AX_GC_MN},  {"mc", 1u << AX_GC_MC}, {"me", 1u << AX_GC_ME},	{"nd", 1u << AX_GC_ND},
    {"nl", 1u << AX_GC_NL},  {"no", 1u << AX_GC_NO}, {"pc", 1u << AX_GC_PC},	{"pd", 1u << AX_GC_PD},
    {"ps", 1u << AX_GC_PS},  {"pe", 1u << AX_GC_PE}, {"pi", 1u << AX_GC_PI},	{"pf", 1u << AX_GC_PF},
    {"po", 1u << AX_GC_PO},  {"sm", 1u << AX_GC_SM}, {"sc", 1u << AX_GC_SC},	{"sk", 1u << AX_GC_SK},
    {"so", 1u << AX_GC_SO},  {"zs", 1u << AX_GC_ZS}, {"zl", 1u << AX_GC_ZL},	{"zp", 1u << AX_GC_ZP},
    {"cc", 1u << AX_GC_CC},  {"cf", 1u << AX_GC_CF}, {"co", 1u << AX_GC_CO},	{"cn", 1u << AX_GC_CN},
    {"cs", 1u << AX_GC_CS},
};

/* POSIX names: the same in brackets and as properties, but for punct. */
static bool add_posix(struct ax_cset *s, const char *name, size_t n, bool bracket)
{
	static const struct {
		const char *name;
		uint32_t gcm, mask;
		bool negated;
	} known[] = {
	    {"alnum", 1u << AX_GC_ND, AX_UNI_ALPHA, false}, {"alpha", 0, AX_UNI_ALPHA, false},	{"blank", 1u << AX_GC_ZS, 0, false},
	    {"cntrl", 1u << AX_GC_CC, 0, false},	    {"digit", 1u << AX_GC_ND, 0, false}, {"lower", 0, AX_UNI_SMALL, false},
	    {"space", 0, AX_UNI_SPACE, false},		    {"upper", 0, AX_UNI_CAPITAL, false}, {"ascii", 0, 0, false},
	    {"xdigit", 0, 0, false},			    {"punct", AX_GCM_P, 0, false},
	    {"graph", 1u << AX_GC_CC | 1u << AX_GC_CN | 1u << AX_GC_CS, AX_UNI_SPACE, true},
	    {"print", 1u << AX_GC_CC | 1u << AX_GC_CN | 1u << AX_GC_CS | 1u << AX_GC_ZL | 1u << AX_GC_ZP, 0, true},
	    {"word", AX_GCM_M | 1u << AX_GC_ND | 1u << AX_GC_PC, AX_UNI_ALPHA, false},
	};
	size_t k = 0;

	while (k < sizeof(known) / sizeof(known[0]) && (strlen(known[k].name) != n || memcmp(known[k].name, name, n)))
		k++;
	if (k == sizeof(known) / sizeof(known[0]) || (!bracket && !strcmp(known[k].name, "word")))
		return false;
	if (known[k].gcm || known[k].mask)
		ax_cset_add_props(s, known[k].gcm | (bracket && !strcmp(known[k].name, "punct") ? AX_GCM_S : 0), known[k].mask);
	if (known[k].negated)
		ax_cset_negate(s);
	if (!strcmp(known[k].name, "blank"))
		ax_cset_add(s, '\t', '\t');
	if (!strcmp(known[k].name, "ascii"))
		ax_cset_add(s, 0, 0x7F);
	if (!strcmp(known[k].name, "xdigit")) {
		ax_cset_add(s, '0', '9');
		ax_cset_add(s, 'A', 'F');
		ax_cset_add(s, 'a', 'f');
	}
	return true;
}

/* \p{name}: a category, a POSIX name or a script. */
static bool add_property(struct ax_cset *s, const char *name, size_t n)
{
	char key[40];
	size_t k = 0, n_range;
	const uint32_t *r;

	for (size_t i = 0; i < n && k + 1 < sizeof(key); i++)
		if (name[i] != '_' && name[i] != '-' && name[i] != ' ')
			key[k++] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
	key[k] = '\0';
	for (size_t i = 0; i < sizeof(categories) / sizeof(categories[0]); i++)
		if (!strcmp(key, categories[i].name)) {
			ax_cset_add_props(s, categories[i].gcm, 0);
			return true;
		}
	if (add_posix(s, key, k, false))
		return true;
	r = ax_uni_script(name, n, &n_range);
	for (size_t i = 0; r && i < n_range; i++)
		ax_cset_add(s, r[2 * i], r[2 * i + 1]);
	return r != NULL;
}

/* \p{..}, \P{..}, \p{^..}; *i is behind the 'p' or 'P'. */
static int parse_property(struct ax_cset *s, const char *p, size_t n, size_t *i, bool negated, struct ax_err *e)
{
	struct ax_cset t = {0};
	size_t b = *i + 1, end;
	const char *close;

	if (*i >= n || p[*i] != '{' || !(close = memchr(p + b, '}', n - b)))
		return ax_fail(e, AX_EDATA, "regex: \\p without {name} at offset %zu", *i);
	end = (size_t)(close - p);
	if (b < end && p[b] == '^') {
		negated = !negated;
		b++;
	}
	if (!add_property(&t, p + b, end - b))
		return ax_fail(e, AX_EDATA, "regex: unknown property \\p{%.*s}", (int)(end - b < 40 ? end - b : 40),
			       p + b);
	if (negated)
		ax_cset_negate(&t);
	ax_cset_merge(s, &t);
	ax_cset_release(&t);
	*i = end + 1;
	return 1;
}

int ax_cset_parse_escape(struct ax_cset *s, const char *p, size_t n, size_t *i, enum ax_cset_where where, struct ax_err *e)
{
	struct ax_cset t = {0};
	size_t k = *i + 2;
	char c;
	int rc;

	if (*i + 1 >= n || p[*i] != '\\')
		return 0;
	c = p[*i + 1];
	switch (c) {
	case 'p':
	case 'P':
		rc = parse_property(s, p, n, &k, c == 'P', e);
		*i = k;
		return rc;
	case 's':
	case 'S':
		ax_cset_add_props(&t, 0, AX_UNI_SPACE);
		break;
	case 'd':
	case 'D':
		ax_cset_add_props(&t, 1u << AX_GC_ND, 0);
		break;
	case 'w':
	case 'W':
		if (where == AX_CSET_OUTSIDE)
			ax_cset_add_props(&t, 0, AX_UNI_WORD);
		else
			add_posix(&t, "word", 4, true);
		break;
	case 'h':
	case 'H':
		ax_cset_add(&t, '0', '9');
		ax_cset_add(&t, 'A', 'F');
		ax_cset_add(&t, 'a', 'f');
		break;
	default:
		return 0;
	}
	if (c < 'a')
		ax_cset_negate(&t);
	ax_cset_merge(s, &t);
	ax_cset_release(&t);
	*i = k;
	return 1;
}

/* One character inside brackets at p[*i], escapes resolved. */
static int parse_char(const char *p, size_t n, size_t *i, uint32_t *c, struct ax_err *e)
{
	size_t len, digits = 0, max = 2;

	if (p[*i] != '\\') {
		*c = ax_utf8_get((const unsigned char *)p + *i, &len);
		*i += len;
		return 0;
	}
	if (*i + 1 >= n)
		return ax_fail(e, AX_EDATA, "regex: ends in a backslash");
	*i += 1;
	switch (p[*i]) {
	case 'n':
		*c = '\n';
		break;
	case 'r':
		*c = '\r';
		break;
	case 't':
		*c = '\t';
		break;
	case 'f':
		*c = '\f';
		break;
	case 'v':
		*c = '\v';
		break;
	case 'a':
		*c = '\a';
		break;
	case 'e':
		*c = 0x1B;
		break;
	case 'b':
		*c = '\b';
		break;
	case 'x':
	case 'u': {
		bool brace = p[*i] == 'x' && *i + 1 < n && p[*i + 1] == '{';

		max = p[*i] == 'u' ? 4 : brace ? 8 : 2;
		*i += brace ? 2 : 1;
		for (*c = 0; *i < n && digits < max; digits++, *i += 1) {
			char d = p[*i];
			uint32_t v = d >= '0' && d <= '9'		  ? (uint32_t)(d - '0')
				     : (d | 32) >= 'a' && (d | 32) <= 'f' ? (uint32_t)((d | 32) - 'a' + 10)
									  : 16;

			if (v == 16)
				break;
			*c = *c << 4 | v;
		}
		if (!digits || *c > 0x10FFFF || (brace && (*i >= n || p[*i] != '}')))
			return ax_fail(e, AX_EDATA, "regex: malformed code point escape before offset %zu", *i);
		*i += brace;
		return 0;
	}
	default:
		if ((p[*i] >= '0' && p[*i] <= '9') || (p[*i] >= 'A' && p[*i] <= 'Z') || (p[*i] >= 'a' && p[*i] <= 'z'))
			return ax_fail(e, AX_EDATA, "regex: unsupported escape \\%c in a class", p[*i]);
		*c = ax_utf8_get((const unsigned char *)p + *i, &len);
		*i += len;
		return 0;
	}
	*i += 1;
	return 0;
}

/* [:name:] */
static int parse_posix(struct ax_cset *s, const char *p, size_t n, size_t *i, struct ax_err *e)
{
	struct ax_cset t = {0};
	size_t b = *i + 2, end;
	bool negated = b < n && p[b] == '^';

	b += negated;
	for (end = b; end < n && p[end] >= 'a' && p[end] <= 'z'; end++)
		;
	if (end + 1 >= n || p[end] != ':' || p[end + 1] != ']')
		return 0;
	if (add_posix(&t, p + b, end - b, true)) {
		if (negated)
			ax_cset_negate(&t);
		ax_cset_merge(s, &t);
		ax_cset_release(&t);
		*i = end + 2;
		return 1;
	}
	return ax_fail(e, AX_EDATA, "regex: unsupported class [:%.*s:]", (int)(end - b < 40 ? end - b : 40), p + b);
}

static int parse_bracket(struct ax_cset *s, const char *p, size_t n, size_t *i, int depth, bool *not, struct ax_err *e);

/* One member of a bracket expression: a class, a nested bracket, a character or a range. */
static int parse_member(struct ax_cset *s, const char *p, size_t n, size_t *i, int depth, struct ax_err *e)
{
	uint32_t first, last;
	size_t k;
	int rc = ax_cset_parse_escape(s, p, n, i, AX_CSET_INSIDE, e);

	if (rc)
		return rc < 0 ? rc : 0;
	if (p[*i] == '[') {
		if (*i + 1 < n && p[*i + 1] == ':' && (rc = parse_posix(s, p, n, i, e)))
			return rc < 0 ? rc : 0;
		return parse_bracket(s, p, n, i, depth + 1, NULL, e);
	}
	AX_TRY(parse_char(p, n, i, &first, e));
	last = first;
	if (*i + 1 < n && p[*i] == '-' && p[*i + 1] != ']') {
		k = *i + 1;
		if (p[k] == '[' || (p[k] == '\\' && k + 1 < n && strchr("pPsSdDwWhH", p[k + 1])))
			return ax_fail(e, AX_EDATA, "regex: a range that ends in a class at offset %zu", k);
		AX_TRY(parse_char(p, n, &k, &last, e));
		*i = k;
		if (last < first)
			return ax_fail(e, AX_EDATA, "regex: empty range in a class before offset %zu", k);
	}
	ax_cset_add(s, first, last);
	return 0;
}

/* [..], [^..], with && : *i is at the '['. A ^ is told in *not, if that is given. */
static int parse_bracket(struct ax_cset *s, const char *p, size_t n, size_t *i, int depth, bool *not, struct ax_err *e)
{
	struct ax_cset all = {0}, part = {0};
	bool negated, first = true, any = false;
	int rc = 0;

	if (depth > MAX_NESTING)
		return ax_fail(e, AX_EDATA, "regex: classes nested deeper than %d", MAX_NESTING);
	*i += 1;
	negated = *i < n && p[*i] == '^';
	*i += negated;
	for (;; first = false) {
		if (*i >= n) {
			rc = ax_fail(e, AX_EDATA, "regex: class without ]");
			break;
		}
		if (p[*i] == ']' && !first)
			break;
		if (p[*i] == '&' && *i + 1 < n && p[*i + 1] == '&') {
			if (any)
				ax_cset_intersect(&all, &part);
			else
				ax_cset_merge(&all, &part);
			any = true;
			part.n = 0;
			*i += 2;
			continue;
		}
		rc = parse_member(&part, p, n, i, depth, e);
		if (rc)
			break;
	}
	if (!rc) {
		*i += 1;
		if (any)
			ax_cset_intersect(&part, &all);
		if (not)
			*not = negated;
		else if (negated)
			ax_cset_negate(&part);
		ax_cset_merge(s, &part);
	}
	ax_cset_release(&all);
	ax_cset_release(&part);
	return rc;
}

int ax_cset_parse_bracket(struct ax_cset *s, const char *p, size_t n, size_t *i, bool *negated, struct ax_err *e)
{
	*negated = false;
	if (*i >= n || p[*i] != '[')
		return 0;
	AX_TRY(parse_bracket(s, p, n, i, 0, negated, e));
	return 1;
}

void ax_cset_write(const struct ax_cset *s, struct ax_buf *b)
{
	size_t start = b->n;

	ax_buf_addc(b, '[');
	for (size_t i = 0; i < s->n; i++) {
		uint32_t x = s->r[2 * i], y = s->r[2 * i + 1];

		/* PCRE2 refuses surrogates in UTF mode, and no checked text holds one */
		if (x >= 0xD800 && x <= 0xDFFF)
			x = 0xE000;
		if (y >= 0xD800 && y <= 0xDFFF)
			y = 0xD7FF;
		if (x > y)
			continue;
		ax_buf_addf(b, "\\x{%x}", x);
		if (y > x)
			ax_buf_addf(b, "-\\x{%x}", y);
	}
	if (b->n > start + 1) {
		ax_buf_addc(b, ']');
	} else if (!b->oom) { /* an empty class, or one of surrogates: PCRE2 would take its ] for a member */
		b->n = start;
		ax_buf_adds(b, "(?!)");
	}
}

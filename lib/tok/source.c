#include "tok/source.h"

#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "fmt/zstd_in.h"

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* More bytes behind s->end, moving what is kept to the front or growing; sets eof when there are none. */
static int fill(struct ax_source *s, struct ax_err *e)
{
	size_t got;

	if (s->eof)
		return 0;
	if (s->begin && s->begin >= s->cap / 2) {
		memmove(s->buf, s->buf + s->begin, s->end - s->begin);
		s->end -= s->begin;
		s->begin = 0;
	}
	if (s->end == s->cap) {
		size_t cap = s->cap * 2;
		char *p;

		if (s->end - s->begin > s->row_max)
			return ax_fail(e, AX_EMEM, "%s:%llu: a row of more than %zu MiB", s->name,
				       (unsigned long long)s->line, s->row_max >> 20);
		p = ax_realloc(s->buf, cap);
		if (!p)
			return ax_fail(e, AX_EMEM, "%s: out of memory", s->name);
		s->buf = p;
		s->cap = cap;
	}
	AX_TRY(ax_zin_read(s->in, s->buf + s->end, s->cap - s->end, &got, e));
	s->end += got;
	s->eof = got == 0;
	return 0;
}

/* Skip white space; *c is the next byte, or -1 at the end. */
static int skip_space(struct ax_source *s, int *c, struct ax_err *e)
{
	for (;;) {
		while (s->begin < s->end && is_space(s->buf[s->begin]))
			s->line += s->buf[s->begin++] == '\n';
		if (s->begin < s->end) {
			*c = (unsigned char)s->buf[s->begin];
			return 0;
		}
		if (s->eof) {
			*c = -1;
			return 0;
		}
		AX_TRY(fill(s, e));
	}
}

static bool has_suffix(const char *s, size_t n, const char *suffix)
{
	size_t m = strlen(suffix);

	return n >= m && !memcmp(s + n - m, suffix, m);
}

static bool named_text(const char *path)
{
	size_t n = strlen(path);

	if (has_suffix(path, n, ".gz"))
		n -= 3;
	else if (has_suffix(path, n, ".zst"))
		n -= 4;
	return has_suffix(path, n, ".txt");
}

static int sniff(struct ax_source *s, struct ax_err *e)
{
	int c;

	AX_TRY(fill(s, e));
	if (s->end >= 4 && !memcmp(s->buf, "PAR1", 4))
		return ax_fail(e, AX_EDATA, "%s: a Parquet file: convert it to JSON lines", s->name);
	if ((s->end >= 6 && !memcmp(s->buf, "ARROW1", 6)) || (s->end >= 4 && !memcmp(s->buf, "\xff\xff\xff\xff", 4)))
		return ax_fail(e, AX_EDATA, "%s: an Arrow file: convert it to JSON lines", s->name);
	if (s->end >= 3 && !memcmp(s->buf, "\xef\xbb\xbf", 3))
		s->begin = 3;
	if (s->text)
		return 0;
	AX_TRY(skip_space(s, &c, e));
	if (c == '[') {
		s->array = true;
		s->begin++;
	}
	return 0;
}

int ax_source_open(struct ax_source *s, const char *path, enum ax_source_format format, size_t row_max,
		   struct ax_err *e)
{
	int rc;

	memset(s, 0, sizeof(*s));
	AX_TRY(ax_zin_open(&s->in, path, e));
	s->name = ax_zin_name(s->in);
	s->row_max = row_max ? row_max : AX_SOURCE_ROW_MAX;
	s->text = format == AX_SOURCE_TEXT || (format == AX_SOURCE_AUTO && named_text(path));
	s->line = 1;
	s->cap = AX_IO_BUF;
	s->buf = ax_malloc(s->cap);
	if (!s->buf)
		AX_GOTO(ax_fail(e, AX_EMEM, "%s: out of memory", path));
	AX_GOTO(sniff(s, e));
	return 0;
out:
	ax_source_close(s);
	return rc;
}

static int next_line(struct ax_source *s, struct ax_record *r, bool *end, struct ax_err *e)
{
	size_t seen = 0;
	const char *nl = NULL;
	int c = 0;

	if (!s->text)
		AX_TRY(skip_space(s, &c, e));
	for (;;) {
		nl = s->end > s->begin + seen ? memchr(s->buf + s->begin + seen, '\n', s->end - s->begin - seen) : NULL;
		if (nl || s->eof)
			break;
		seen = s->end - s->begin;
		AX_TRY(fill(s, e));
	}
	r->p = s->buf + s->begin;
	r->n = (nl ? (size_t)(nl - s->buf) : s->end) - s->begin;
	r->line = s->line;
	*end = !nl && r->n == 0;
	s->begin += r->n + (nl != NULL);
	s->line += nl != NULL;
	if (r->n > s->row_max)
		return ax_fail(e, AX_EMEM, "%s:%llu: a row of more than %zu MiB", s->name, (unsigned long long)r->line,
			       s->row_max >> 20);
	if (r->n && r->p[r->n - 1] == '\r')
		r->n--;
	return 0;
}

/* Where an element of the array is while its end is looked for. */
struct scan {
	size_t at; /* relative to begin */
	int depth;
	bool in_string, escaped;
	uint64_t lines;
};

/* Advance over buffered bytes; true when at the ',' or ']' that ends the element. */
static bool scan_element(struct scan *c, const char *p, size_t n)
{
	for (; c->at < n; c->at++) {
		char b = p[c->at];

		c->lines += b == '\n';
		if (c->in_string) {
			if (c->escaped)
				c->escaped = false;
			else if (b == '\\')
				c->escaped = true;
			else if (b == '"')
				c->in_string = false;
		} else if (b == '"') {
			c->in_string = true;
		} else if (b == '{' || b == '[') {
			c->depth++;
		} else if ((b == '}' || b == ']') && c->depth) {
			c->depth--;
		} else if (c->depth == 0 && (b == ',' || b == ']')) {
			return true;
		}
	}
	return false;
}

static int array_end(struct ax_source *s, bool *end, struct ax_err *e)
{
	int c;

	s->array_done = true;
	AX_TRY(skip_space(s, &c, e));
	if (c >= 0)
		return ax_fail(e, AX_EDATA, "%s:%llu: something follows the array's end", s->name,
			       (unsigned long long)s->line);
	*end = true;
	return 0;
}

static int next_element(struct ax_source *s, struct ax_record *r, bool *end, struct ax_err *e)
{
	struct scan scan = {0};
	char stop;
	int c;

	if (s->array_done)
		return array_end(s, end, e);
	AX_TRY(skip_space(s, &c, e));
	if (c == ']' && s->number == 0) {
		s->begin++;
		return array_end(s, end, e);
	}
	while (!scan_element(&scan, s->buf + s->begin, s->end - s->begin)) {
		if (s->eof)
			return ax_fail(e, AX_EDATA, "%s:%llu: the file ends inside the array", s->name,
				       (unsigned long long)s->line);
		AX_TRY(fill(s, e));
	}
	r->p = s->buf + s->begin;
	r->n = scan.at;
	r->line = s->line;
	stop = r->p[r->n];
	while (r->n && is_space(r->p[r->n - 1]))
		r->n--;
	if (r->n == 0)
		return ax_fail(e, AX_EDATA, "%s:%llu: an element is missing in the array", s->name,
			       (unsigned long long)s->line);
	s->array_done = stop == ']';
	s->begin += scan.at + 1;
	s->line += scan.lines;
	return 0;
}

int ax_source_next(struct ax_source *s, struct ax_record *r, bool *end, struct ax_err *e)
{
	*end = false;
	AX_TRY((s->array ? next_element : next_line)(s, r, end, e));
	if (!*end)
		r->number = ++s->number;
	return 0;
}

void ax_source_close(struct ax_source *s)
{
	ax_zin_close(s->in);
	ax_free(s->buf);
	memset(s, 0, sizeof(*s));
}

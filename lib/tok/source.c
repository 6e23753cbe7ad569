#include "tok/source.h"

#include <string.h>

#include "base/mem.h"
#include "fmt/arrow.h"
#include "fmt/parquet.h"
#include "fmt/zstd_in.h"
#include "tok/source_impl.h"

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

int ax_source_fill(struct ax_source *s, struct ax_err *e)
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
		AX_TRY(ax_source_fill(s, e));
	}
}

static bool has_suffix(const char *s, size_t n, const char *suffix)
{
	size_t m = strlen(suffix);

	return n >= m && !memcmp(s + n - m, suffix, m);
}

/* What the name says; AX_SOURCE_AUTO if it says nothing. */
static enum ax_source_format named(const char *path)
{
	size_t n = strlen(path);

	if (has_suffix(path, n, ".gz"))
		n -= 3;
	else if (has_suffix(path, n, ".zst"))
		n -= 4;
	if (has_suffix(path, n, ".txt"))
		return AX_SOURCE_TEXT;
	if (has_suffix(path, n, ".csv"))
		return AX_SOURCE_CSV;
	return has_suffix(path, n, ".tsv") ? AX_SOURCE_TSV : AX_SOURCE_AUTO;
}

bool ax_source_is_text(const char *path, enum ax_source_format format)
{
	return (format == AX_SOURCE_AUTO ? named(path) : format) == AX_SOURCE_TEXT;
}

static bool begins(const struct ax_source *s, const char *magic, size_t n)
{
	return s->end >= n && !memcmp(s->buf, magic, n);
}

/* What the content says, where the name said nothing. */
static enum ax_source_format sniffed(const struct ax_source *s)
{
	if (begins(s, "PAR1", 4))
		return AX_SOURCE_PARQUET;
	return begins(s, "ARROW1", 6) || begins(s, "\xff\xff\xff\xff", 4) ? AX_SOURCE_ARROW : AX_SOURCE_JSON;
}

static int open_json(struct ax_source *s, struct ax_err *e)
{
	int c;

	AX_TRY(skip_space(s, &c, e));
	if (c == '[') {
		s->array = true;
		s->begin++;
	}
	return 0;
}

static int open_table(struct ax_source *s, bool parquet, struct ax_err *e)
{
	struct ax_table_file file = {.name = s->name, .mapped = true, .row_max = s->row_max};

	if (!parquet && !ax_zin_plain(s->in) && !begins(s, "ARROW1", 6))
		return ax_arrow_stream(&s->arrow, s->in, s->buf, s->end, s->row_max, e);
	AX_TRY(ax_zin_map(s->in, s->buf, s->end, &s->map, e));
	file.p = s->map.p;
	file.n = s->map.n;
	return parquet ? ax_parquet_open(&s->parquet, &file, e) : ax_arrow_open(&s->arrow, &file, e);
}

static int open_as(struct ax_source *s, enum ax_source_format format, struct ax_err *e)
{
	enum ax_source_format content;

	AX_TRY(ax_source_fill(s, e));
	AX_TRY(ax_no_pointer(s->name, s->buf, s->end, e));
	content = sniffed(s);
	if (format == AX_SOURCE_AUTO)
		format = content;
	if (format == AX_SOURCE_PARQUET || format == AX_SOURCE_ARROW)
		return open_table(s, format == AX_SOURCE_PARQUET, e);
	if (content != AX_SOURCE_JSON)
		return ax_fail(e, AX_EDATA, "%s: the content is %s, but the name or ds_type says otherwise", s->name,
			       content == AX_SOURCE_PARQUET ? "Parquet" : "Arrow");
	if (begins(s, "\xff\xfe", 2) || begins(s, "\xfe\xff", 2))
		return ax_fail(e, AX_EDATA, "%s: UTF-16 text is not read: convert it to UTF-8 (iconv -t UTF-8)", s->name);
	if (begins(s, "\xef\xbb\xbf", 3))
		s->begin = 3;
	s->text = format == AX_SOURCE_TEXT;
	if (format == AX_SOURCE_CSV || format == AX_SOURCE_TSV)
		return ax_source_csv_open(s, format == AX_SOURCE_CSV ? ',' : '\t', e);
	return s->text ? 0 : open_json(s, e);
}

int ax_source_open(struct ax_source *s, const char *path, enum ax_source_format format, size_t row_max,
		   struct ax_err *e)
{
	int rc;

	memset(s, 0, sizeof(*s));
	AX_TRY(ax_zin_open(&s->in, path, e));
	s->name = ax_zin_name(s->in);
	s->row_max = row_max ? row_max : AX_SOURCE_ROW_MAX;
	s->line = 1;
	s->cap = AX_IO_BUF;
	s->buf = ax_malloc(s->cap);
	if (!s->buf)
		AX_GOTO(ax_fail(e, AX_EMEM, "%s: out of memory", path));
	AX_GOTO(open_as(s, format == AX_SOURCE_AUTO ? named(path) : format, e));
	return 0;
out:
	ax_source_close(s);
	return rc;
}

void ax_source_select(struct ax_source *s, const char *const *name)
{
	if (name && s->parquet)
		ax_parquet_select(s->parquet, name);
	else if (name && s->arrow)
		ax_arrow_select(s->arrow, name);
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
		AX_TRY(ax_source_fill(s, e));
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
		AX_TRY(ax_source_fill(s, e));
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

/* A row of a Parquet or Arrow file. */
static int next_table(struct ax_source *s, struct ax_record *r, bool *end, struct ax_err *e)
{
	ax_buf_reset(&s->row);
	AX_TRY(s->parquet ? ax_parquet_next(s->parquet, &s->row, end, e) : ax_arrow_next(s->arrow, &s->row, end, e));
	if (s->row.oom)
		return ax_fail(e, AX_EMEM, "%s: out of memory for a row", s->name);
	r->p = s->row.p;
	r->n = s->row.n;
	r->line = s->number + 1;
	return 0;
}

int ax_source_next(struct ax_source *s, struct ax_record *r, bool *end, struct ax_err *e)
{
	*end = false;
	if (s->parquet || s->arrow)
		AX_TRY(next_table(s, r, end, e));
	else if (s->csv)
		AX_TRY(ax_source_csv_next(s, r, end, e));
	else
		AX_TRY((s->array ? next_element : next_line)(s, r, end, e));
	r->made = s->parquet || s->arrow || s->csv;
	if (!*end)
		r->number = ++s->number;
	return 0;
}

void ax_source_close(struct ax_source *s)
{
	ax_source_csv_close(s);
	ax_parquet_close(s->parquet);
	ax_arrow_close(s->arrow);
	ax_map_close(&s->map);
	ax_buf_release(&s->row);
	ax_zin_close(s->in);
	ax_free(s->buf);
	memset(s, 0, sizeof(*s));
}

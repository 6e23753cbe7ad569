/* CSV as pandas' parser cuts it: a quote opens a field only as its first character, and closes it at the next single one. */
#include <string.h>

#include "base/mem.h"
#include "fmt/cell.h"
#include "tok/source_impl.h"

#define COLUMNS 4096

struct name {
	char *text; /* as it is, for the search of equal ones */
	char *key;  /* "NAME": as JSON */
	size_t n, key_n;
};

struct ax_csv {
	char separator;
	struct name *name;
	size_t n_name, cap_name;
	struct ax_buf field;
};

/* Where a record is while its end is looked for. */
struct scan {
	size_t at; /* relative to s->begin */
	enum { FIELD_BEGIN, IN_FIELD, IN_QUOTES, QUOTE_SEEN } state;
	uint64_t lines;
	char before; /* the last character, for line ends of two */
};

static int no_memory(const struct ax_source *s, struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "%s: out of memory", s->name);
}

/* Over bytes that change nothing. */
static size_t plain(const struct scan *c, char separator, const char *p, size_t n)
{
	size_t i = c->at;

	if (c->state == IN_QUOTES)
		while (i < n && p[i] != '"' && p[i] != '\n' && p[i] != '\r')
			i++;
	else if (c->state == IN_FIELD)
		while (i < n && p[i] != separator && p[i] != '\n' && p[i] != '\r')
			i++;
	return i;
}

/* Advance over buffered bytes; true when at the line end that ends the record. */
static bool scan_record(struct scan *c, char separator, const char *p, size_t n)
{
	for (;; c->at++) {
		size_t from = c->at;
		char b;

		c->at = plain(c, separator, p, n);
		if (c->at > from)
			c->before = p[c->at - 1];
		if (c->at == n)
			return false;
		b = p[c->at];
		if (c->state == IN_QUOTES) {
			c->lines += b == '\r' || (b == '\n' && c->before != '\r');
			c->state = b == '"' ? QUOTE_SEEN : IN_QUOTES;
		} else if (b == '\n' || b == '\r') {
			return true;
		} else if (b == separator) {
			c->state = FIELD_BEGIN;
		} else if (b == '"' && (c->state == FIELD_BEGIN || c->state == QUOTE_SEEN)) {
			c->state = IN_QUOTES;
		} else {
			c->state = IN_FIELD;
		}
		c->before = b;
	}
}

/* Pass the line end at s->begin, if there is one. */
static int skip_line_end(struct ax_source *s, struct ax_err *e)
{
	char c;

	if (s->begin == s->end)
		return 0;
	c = s->buf[s->begin++];
	s->line++;
	if (c == '\r' && s->begin == s->end)
		AX_TRY(ax_source_fill(s, e));
	if (c == '\r' && s->begin < s->end && s->buf[s->begin] == '\n')
		s->begin++;
	return 0;
}

static bool is_blank(const char *p, size_t n, char separator)
{
	while (n && (*p == ' ' || *p == '\t') && *p != separator)
		p++, n--;
	return n == 0;
}

/* The next record that is not blank: *n bytes at s->buf + *at, which begins on line *line; *n = 0 at the end. */
static int cut(struct ax_source *s, size_t *at, size_t *n, uint64_t *line, struct ax_err *e)
{
	struct scan c;

	do {
		c = (struct scan){0};
		while (!scan_record(&c, s->csv->separator, s->buf + s->begin, s->end - s->begin) && !s->eof)
			AX_TRY(ax_source_fill(s, e));
		*line = s->line;
		if (c.state == IN_QUOTES)
			return ax_fail(e, AX_EDATA, "%s:%llu: a quote is opened and not closed", s->name,
				       (unsigned long long)*line);
		if (c.at > s->row_max)
			return ax_fail(e, AX_EMEM, "%s:%llu: a row of more than %zu MiB", s->name,
				       (unsigned long long)*line, s->row_max >> 20);
		s->line += c.lines;
		*n = c.at;
		s->begin += c.at;
		*at = s->begin - *n;
		if (is_blank(s->buf + *at, *n, s->csv->separator)) {
			*n = 0;
			AX_TRY(skip_line_end(s, e));
		}
	} while (*n == 0 && (s->begin < s->end || !s->eof));
	return 0;
}

/* The field at *p without its quotes into *out, which lies in the text or in `field`; *p moves to its separator. */
static void take_field(struct ax_csv *csv, const char **p, const char *end, const char **out, size_t *n)
{
	const char *q = *p, *from;

	if (q == end || *q != '"') {
		q = memchr(q, csv->separator, (size_t)(end - q));
		*out = *p;
		*p = q ? q : end;
		*n = (size_t)(*p - *out);
		return;
	}
	ax_buf_reset(&csv->field);
	for (from = ++q; q < end; from = q) {
		q = memchr(q, '"', (size_t)(end - q));
		q = q ? q : end;
		ax_buf_add(&csv->field, from, (size_t)(q - from));
		if (q == end || q + 1 == end || q[1] != '"')
			break;
		ax_buf_addc(&csv->field, '"');
		q += 2;
	}
	from = q < end ? ++q : q;
	q = memchr(from, csv->separator, (size_t)(end - from));
	*p = q ? q : end;
	ax_buf_add(&csv->field, from, (size_t)(*p - from)); /* what follows the closing quote belongs to it */
	*out = csv->field.p;
	*n = csv->field.n;
}

static bool is_named(const struct ax_csv *csv, const char *p, size_t n)
{
	for (size_t i = 0; i < csv->n_name; i++)
		if (csv->name[i].n == n && !memcmp(csv->name[i].text, p, n))
			return true;
	return false;
}

static int add_name(struct ax_source *s, const char *p, size_t n, struct ax_err *e)
{
	struct ax_csv *csv = s->csv;
	struct ax_buf text = AX_BUF_INIT, key = AX_BUF_INIT;
	struct name *to;

	if (!AX_GROW(csv->name, csv->n_name, csv->cap_name))
		return no_memory(s, e);
	ax_buf_add(&text, p, n);
	if (n == 0)
		ax_buf_addf(&text, "Unnamed: %zu", csv->n_name);
	for (size_t i = 1; !text.oom && is_named(csv, text.p, text.n); i++) {
		ax_buf_reset(&text);
		ax_buf_add(&text, p, n);
		ax_buf_addf(&text, ".%zu", i);
	}
	if (!text.oom)
		ax_cell_str(&key, text.p, text.n);
	ax_buf_addc(&key, ':');
	to = &csv->name[csv->n_name];
	*to = (struct name){.n = text.n, .key_n = key.n};
	to->text = ax_buf_detach(&text);
	to->key = ax_buf_detach(&key);
	csv->n_name++;
	return to->text && to->key ? 0 : no_memory(s, e);
}

int ax_source_csv_open(struct ax_source *s, char separator, struct ax_err *e)
{
	const char *p, *end, *field;
	size_t at, n;
	uint64_t line;

	s->csv = ax_calloc(1, sizeof(*s->csv));
	if (!s->csv)
		return no_memory(s, e);
	s->csv->separator = separator;
	AX_TRY(cut(s, &at, &n, &line, e));
	if (n == 0)
		return 0;
	for (p = s->buf + at, end = p + n;; p++) {
		take_field(s->csv, &p, end, &field, &n);
		if (s->csv->field.oom)
			return no_memory(s, e);
		if (s->csv->n_name == COLUMNS)
			return ax_fail(e, AX_EDATA, "%s:%llu: more than %d columns", s->name, (unsigned long long)line,
				       COLUMNS);
		AX_TRY(add_name(s, field, n, e));
		if (p == end)
			return 0;
	}
}

static int put_row(struct ax_source *s, const char *p, const char *end, uint64_t line, struct ax_err *e)
{
	struct ax_csv *csv = s->csv;
	bool more = true;

	ax_buf_reset(&s->row);
	for (size_t i = 0; i < csv->n_name || more; i++) {
		const char *field = p;
		size_t n = 0;

		if (i == csv->n_name)
			return ax_fail(e, AX_EDATA, "%s:%llu: more fields than the %zu columns of the header",
				       s->name, (unsigned long long)line, csv->n_name);
		if (more)
			take_field(csv, &p, end, &field, &n);
		ax_buf_addc(&s->row, i ? ',' : '{');
		ax_buf_add(&s->row, csv->name[i].key, csv->name[i].key_n);
		if (n)
			ax_cell_str(&s->row, field, n);
		else
			ax_buf_add(&s->row, "null", 4);
		more = more && p < end;
		p += more;
	}
	ax_buf_addc(&s->row, '}');
	return s->row.oom || csv->field.oom ? no_memory(s, e) : 0;
}

int ax_source_csv_next(struct ax_source *s, struct ax_record *r, bool *end, struct ax_err *e)
{
	size_t at, n;

	AX_TRY(skip_line_end(s, e)); /* of the record before */
	AX_TRY(cut(s, &at, &n, &r->line, e));
	*end = n == 0;
	if (*end)
		return 0;
	AX_TRY(put_row(s, s->buf + at, s->buf + at + n, r->line, e));
	r->p = s->row.p;
	r->n = s->row.n;
	return 0;
}

void ax_source_csv_close(struct ax_source *s)
{
	struct ax_csv *csv = s->csv;

	if (!csv)
		return;
	for (size_t i = 0; i < csv->n_name; i++) {
		ax_free(csv->name[i].text);
		ax_free(csv->name[i].key);
	}
	ax_free(csv->name);
	ax_buf_release(&csv->field);
	ax_free(csv);
}

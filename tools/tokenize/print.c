/* --print: a JSON object a row, in the order of the input. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "text/json.h"
#include "tokenize.h"

static int no_memory(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory");
}

/* One line goes out at once, unless the split of earlier ones is still open: then it waits in the spool. */
static int put_line(struct tk_sink *s, struct ax_err *e)
{
	uint64_t off;

	if (s->json.oom)
		return no_memory(e);
	s->n_line++;
	if (!s->opt->eval_count)
		return ax_out_write(s->out, s->json.p, s->json.n, e);
	ax_buf_reset(&s->line);
	ax_buf_add_u64(&s->line, s->json.n);
	if (s->line.oom)
		return no_memory(e);
	AX_TRY(ax_spool_append(&s->lines, s->line.p, s->line.n, &off, e));
	return ax_spool_append(&s->lines, s->json.p, s->json.n, &off, e);
}

static void put_ints(struct ax_buf *b, const char *key, const struct ax_row *r, bool labels)
{
	char digits[16];

	ax_buf_addf(b, "\"%s\": [", key);
	for (uint32_t i = 0; i < r->n; i++) {
		int64_t v = r->id[i];
		int n;

		if (labels && r->label)
			v = r->label[i];
		if (labels && !r->mask[i])
			v = AX_LABEL_NONE;
		n = snprintf(digits, sizeof(digits), i ? ", %" PRId64 : "%" PRId64, v);

		ax_buf_add(b, digits, (size_t)n);
	}
	ax_buf_addc(b, ']');
}

int tk_print_group(struct tk_sink *s, const unsigned char *p, size_t n, bool eval, const char *dropped,
		   struct ax_err *e)
{
	const unsigned char *end = p + n;

	while (p < end) {
		struct ax_row r;

		ax_row_take(&p, &r);
		ax_buf_reset(&s->json);
		ax_buf_addc(&s->json, '{');
		put_ints(&s->json, "input_ids", &r, false);
		ax_buf_adds(&s->json, ", ");
		put_ints(&s->json, "labels", &r, true);
		if (eval)
			ax_buf_adds(&s->json, ", \"split\": \"eval\"");
		if (dropped)
			ax_buf_addf(&s->json, ", \"dropped\": \"%s\"", dropped);
		ax_buf_adds(&s->json, "}\n");
		AX_TRY(put_line(s, e));
	}
	return 0;
}

int tk_print_dropped(struct tk_sink *s, const char *reason, const char *message, struct ax_err *e)
{
	ax_buf_reset(&s->json);
	ax_buf_addf(&s->json, "{\"dropped\": \"%s\"", reason);
	if (message) {
		ax_buf_adds(&s->json, ", \"error\": ");
		ax_json_write_str(&s->json, message, strlen(message), 0);
	}
	ax_buf_adds(&s->json, "}\n");
	return put_line(s, e);
}

/* The next range of evaluation lines, [begin, end). */
static int next_range(struct tk_sink *s, uint64_t *begin, uint64_t *end, struct ax_err *e)
{
	bool any;

	AX_TRY(ax_hold_pop(&s->hold, &s->out_group, &any, e));
	*begin = any ? ax_get_u64(s->out_group.p) : UINT64_MAX;
	*end = any ? ax_get_u64(s->out_group.p + 8) : UINT64_MAX;
	return 0;
}

/* Move a line's row from the training counts to those of evaluation. */
static void recount(struct tk_sink *s, const char *line, size_t n)
{
	uint64_t tokens = 1, trained = 0;
	const char *labels = strstr(line, "\"labels\": [");
	const char *p = labels ? labels + strlen("\"labels\": [") : line + n;
	bool first = true;

	for (; p < line + n && *p != ']'; first = false) {
		trained += !first && strncmp(p, "-100", 4) != 0;
		p += strcspn(p, ",]");
		if (*p == ',') {
			p += 2;
			tokens++;
		}
	}
	s->stats.rows[0]--;
	s->stats.rows[1]++;
	s->stats.tokens[0] -= tokens;
	s->stats.tokens[1] += tokens;
	s->stats.trained[0] -= trained;
	s->stats.trained[1] += trained;
}

int tk_print_finish(struct tk_sink *s, struct ax_err *e)
{
	uint64_t begin, end, off = 0;

	if (!s->opt->eval_count)
		return 0;
	AX_TRY(next_range(s, &begin, &end, e));
	for (uint64_t i = 0; i < s->n_line; i++) {
		unsigned char head[8];
		size_t n;

		AX_TRY(ax_spool_read(&s->lines, head, 8, off, e));
		n = (size_t)ax_get_u64(head);
		ax_buf_reset(&s->json);
		ax_buf_reserve(&s->json, n + 32);
		if (s->json.oom)
			return no_memory(e);
		AX_TRY(ax_spool_read(&s->lines, s->json.p, n, off + 8, e));
		off += 8 + n;
		s->json.n = n;
		s->json.p[n] = '\0';
		while (i >= end)
			AX_TRY(next_range(s, &begin, &end, e));
		if (i >= begin && !strstr(s->json.p, "\"dropped\": ")) {
			recount(s, s->json.p, n);
			s->json.n -= 2;
			ax_buf_adds(&s->json, ", \"split\": \"eval\"}\n");
		}
		AX_TRY(ax_out_write(s->out, s->json.p, s->json.n, e));
	}
	return 0;
}

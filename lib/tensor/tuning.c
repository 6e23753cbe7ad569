#include "tensor/tuning.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

#define MAGIC "ax-tuning 1"

void ax_tuning_release(struct ax_tuning *t)
{
	ax_free(t->row);
	memset(t, 0, sizeof(*t));
}

const struct ax_tuning_row *ax_tuning_find(const struct ax_tuning *t, const struct ax_tuning_key *key)
{
	for (size_t i = 0; i < t->n; i++)
		if (!memcmp(&t->row[i].key, key, sizeof(*key)))
			return &t->row[i];
	return NULL;
}

int ax_tuning_put(struct ax_tuning *t, const struct ax_tuning_row *row, struct ax_err *e)
{
	for (size_t i = 0; i < t->n; i++)
		if (!memcmp(&t->row[i].key, &row->key, sizeof(row->key))) {
			t->row[i] = *row;
			return 0;
		}
	if (t->n >= AX_TUNING_ROWS_MAX)
		return ax_fail(e, AX_EMEM, "more than %d products in a tuning table", AX_TUNING_ROWS_MAX);
	if (!AX_GROW(t->row, t->n, t->cap))
		return ax_fail(e, AX_EMEM, "out of memory");
	t->row[t->n++] = *row;
	return 0;
}

static void write_row(const struct ax_tuning_row *r, struct ax_buf *b)
{
	const struct ax_tuning_key *k = &r->key;

	ax_buf_addf(b, "%d %d %d %c %c %s %s %c %c", k->m, k->n, k->k, k->a_trans ? 't' : 'n', k->b_trans ? 't' : 'n', k->in_bf16 ? "bf16" : "f32",
		    k->out_bf16 ? "bf16" : "f32", k->bias ? 'b' : '-', k->accumulate ? '+' : '=');
	for (int i = 0; i < 3; i++)
		ax_buf_addf(b, " %" PRIu64, k->ld[i]);
	for (int i = 0; i < 3; i++)
		ax_buf_addf(b, " %u", k->align[i]);
	for (int i = 0; i < AX_TUNING_ALGO_WORDS; i++)
		ax_buf_addf(b, "%c%016" PRIx64, i ? ',' : ' ', r->algo[i]);
	ax_buf_addf(b, " %.2f\n", r->us);
}

void ax_tuning_write(const struct ax_tuning *t, struct ax_buf *b)
{
	size_t from = b->n;

	ax_buf_addf(b, MAGIC "\nmachine %s\n", t->machine);
	for (size_t i = 0; i < t->n; i++)
		write_row(&t->row[i], b);
	if (!b->oom)
		ax_buf_addf(b, "end %016" PRIx64 "\n", ax_hash64(b->p + from, b->n - from));
}

/* The next line of *text, without its end, as a string in buf. */
static bool next_line(const char **text, const char *end, char *buf, size_t n)
{
	const char *stop = memchr(*text, '\n', (size_t)(end - *text));
	size_t len = stop ? (size_t)(stop - *text) : 0;

	if (!stop || len >= n || memchr(*text, '\0', len))
		return false;
	memcpy(buf, *text, len);
	buf[len] = '\0';
	*text = stop + 1;
	return true;
}

static bool power_of_two(uint32_t x)
{
	return x && !(x & (x - 1));
}

static bool key_is_sane(const struct ax_tuning_key *k)
{
	for (int i = 0; i < 3; i++)
		if (!power_of_two(k->align[i]) || k->align[i] > 256 || k->ld[i] < 1 || k->ld[i] > INT64_MAX / 16)
			return false;
	return k->m > 0 && k->n > 0 && k->k > 0;
}

static bool either(const char *s, const char *no, const char *yes, uint8_t *out)
{
	*out = !strcmp(s, yes);
	return *out || !strcmp(s, no);
}

static bool read_row(const char *s, struct ax_tuning_row *r)
{
	struct ax_tuning_key *k = &r->key;
	char w[6][5];
	int at = -1, end = -1;

	memset(r, 0, sizeof(*r));
	if (sscanf(s, "%9d %9d %9d %4s %4s %4s %4s %4s %4s %19" SCNu64 " %19" SCNu64 " %19" SCNu64 " %3u %3u %3u %n", &k->m, &k->n, &k->k, w[0], w[1], w[2],
		   w[3], w[4], w[5], &k->ld[0], &k->ld[1], &k->ld[2], &k->align[0], &k->align[1], &k->align[2], &at) != 15 ||
	    at < 0)
		return false;
	if (!either(w[0], "n", "t", &k->a_trans) || !either(w[1], "n", "t", &k->b_trans) || !either(w[2], "f32", "bf16", &k->in_bf16) ||
	    !either(w[3], "f32", "bf16", &k->out_bf16) || !either(w[4], "-", "b", &k->bias) || !either(w[5], "=", "+", &k->accumulate))
		return false;
	for (int i = 0; i < AX_TUNING_ALGO_WORDS; i++) {
		int len = -1;

		if (sscanf(s + at, "%16" SCNx64 "%n", &r->algo[i], &len) != 1 || len != 16 || s[at + 16] != (i < AX_TUNING_ALGO_WORDS - 1 ? ',' : ' '))
			return false;
		at += 17;
	}
	return sscanf(s + at, "%15lf%n", &r->us, &end) == 1 && end > 0 && s[at + end] == '\0' && isfinite(r->us) && r->us >= 0 && key_is_sane(k);
}

int ax_tuning_read(struct ax_tuning *t, const char *text, size_t n, struct ax_err *e)
{
	const char *at = text, *end = text + n, *line_start;
	char line[512];
	int n_line = 2;
	uint64_t hash;

	if (!next_line(&at, end, line, sizeof(line)) || strcmp(line, MAGIC))
		return ax_fail(e, AX_EDATA, "line 1: not a tuning table of version 1");
	if (!next_line(&at, end, line, sizeof(line)) || strncmp(line, "machine ", 8) || strlen(line + 8) >= sizeof(t->machine))
		return ax_fail(e, AX_EDATA, "line 2: no machine");
	strcpy(t->machine, line + 8);
	for (;;) {
		struct ax_tuning_row r;

		n_line++;
		line_start = at;
		if (!next_line(&at, end, line, sizeof(line)))
			return ax_fail(e, AX_EDATA, "line %d: cut off or too long", n_line);
		if (!strncmp(line, "end ", 4))
			break;
		if (!read_row(line, &r))
			return ax_fail(e, AX_EDATA, "line %d: not a product and its algorithm", n_line);
		AX_TRY(ax_tuning_put(t, &r, e));
	}
	if (strlen(line) != 20 || sscanf(line + 4, "%16" SCNx64, &hash) != 1 || hash != ax_hash64(text, (size_t)(line_start - text)) || at != end)
		return ax_fail(e, AX_EDATA, "line %d: damaged: the hash does not fit", n_line);
	return 0;
}

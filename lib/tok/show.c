#include "tok/show.h"

#include <string.h>

#define GREEN "\033[32m"
#define PLAIN "\033[0m"

/* Bytes of a whole UTF-8 character at p, 0 if there is none in n bytes. */
static size_t whole_char(const unsigned char *p, size_t n)
{
	size_t k = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;

	if (k == 0 || k > n)
		return 0;
	for (size_t i = 1; i < k; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* overlong forms and surrogates */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return k;
}

/* C1 controls and what changes the direction of text are as dangerous as escapes. */
static bool is_control(const unsigned char *p, size_t k)
{
	if (k == 1)
		return p[0] < 0x20 || p[0] == 0x7f;
	if (k == 2)
		return p[0] == 0xc2 && p[1] < 0xa0;
	return k == 3 && p[0] == 0xe2 && ((p[1] == 0x80 && p[2] >= 0xaa && p[2] <= 0xae) ||
					  (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
}

static void add_text(struct ax_buf *b, const unsigned char *p, size_t n, bool newlines)
{
	for (size_t i = 0; i < n;) {
		size_t k = whole_char(p + i, n - i);

		if (k && !is_control(p + i, k)) {
			ax_buf_add(b, p + i, k);
		} else if (p[i] == '\n') {
			ax_buf_adds(b, newlines ? "\\n\n" : "\\n");
		} else {
			k = k ? k : 1;
			for (size_t j = 0; j < k; j++)
				ax_buf_addf(b, "\\x%02x", p[i + j]);
		}
		i += k;
	}
}

static void token_bytes(struct ax_buf *b, const struct ax_tokenizer *t, uint32_t id)
{
	if (!t || !ax_tokenizer_bytes(t, id, b))
		ax_buf_addf(b, "<%u>", id);
}

static void show_text(struct ax_buf *b, const struct ax_tokenizer *t, const struct ax_row *r, bool colour)
{
	struct ax_buf run = AX_BUF_INIT;

	for (uint32_t i = 0; i < r->n;) {
		bool trained = r->mask[i];

		ax_buf_reset(&run);
		for (; i < r->n && (bool)r->mask[i] == trained; i++)
			token_bytes(&run, t, r->id[i]);
		if (trained)
			ax_buf_adds(b, colour ? GREEN : "[[");
		if (run.n)
			add_text(b, (const unsigned char *)run.p, run.n, true);
		if (trained)
			ax_buf_adds(b, colour ? PLAIN : "]]");
	}
	b->oom |= run.oom;
	if (b->n && b->p[b->n - 1] != '\n')
		ax_buf_addc(b, '\n');
	ax_buf_release(&run);
}

static void show_list(struct ax_buf *b, const struct ax_tokenizer *t, const struct ax_row *r, bool colour)
{
	struct ax_buf piece = AX_BUF_INIT;

	for (uint32_t i = 0; i < r->n; i++) {
		bool trained = r->mask[i];

		ax_buf_reset(&piece);
		token_bytes(&piece, t, r->id[i]);
		ax_buf_addf(b, "%s%6u %7u %c", colour && trained ? GREEN : "", i, r->id[i], trained ? '+' : '-');
		if (r->label && trained && r->label[i] != (int32_t)r->id[i])
			ax_buf_addf(b, " label %d", r->label[i]);
		if (r->weight)
			ax_buf_addf(b, " weight %g", (double)r->weight[i]);
		ax_buf_adds(b, " |");
		if (piece.n)
			add_text(b, (const unsigned char *)piece.p, piece.n, false);
		ax_buf_addf(b, "|%s\n", colour && trained ? PLAIN : "");
	}
	b->oom |= piece.oom;
	ax_buf_release(&piece);
}

void ax_show_row(struct ax_buf *b, const struct ax_tokenizer *t, const struct ax_row *r, unsigned flags)
{
	bool colour = flags & AX_SHOW_COLOUR;

	(flags & AX_SHOW_LIST ? show_list : show_text)(b, t, r, colour);
}

/* What a tokenizer knows of its tokens. */
#include "tok/tokenizer.h"

#include <string.h>

#include "tok/tokenizer_impl.h"

uint32_t ax_tokenizer_id(const struct ax_tokenizer *t, const char *content, size_t n)
{
	uint32_t id = ax_vocab_find(&t->names, content, n);

	return id != AX_TOK_NONE ? id : ax_vocab_find(ax_model_vocab(&t->model), content, n);
}

const char *ax_tokenizer_piece(const struct ax_tokenizer *t, uint32_t id, size_t *n)
{
	const struct ax_tok_added *a = ax_tokenizer_added(t, id);
	const struct ax_vocab *v = ax_model_vocab(&t->model);

	if (a) {
		*n = a->content_n;
		return a->content;
	}
	if (id >= v->id_end || v->str[id].n == UINT32_MAX)
		return NULL;
	*n = v->str[id].n;
	return v->text ? v->text + v->str[id].off : "";
}

/* A piece in which bytes are spelled as characters; false if one of them spells none. */
static bool unspell(const char *p, size_t n, struct ax_buf *b)
{
	size_t len, old = b->n;

	for (size_t i = 0; i < n; i += len) {
		int c = ax_byte_of_char(ax_utf8_get((const unsigned char *)p + i, &len));

		if (c < 0) {
			b->n = old;
			return false;
		}
		ax_buf_addc(b, (char)c);
	}
	return true;
}

static bool spells_bytes(const struct ax_tokenizer *t)
{
	for (size_t i = 0; i < t->pre.n; i++)
		if (t->pre.stage[i].kind == AX_PRE_BYTES)
			return true;
	for (size_t i = 0; i < t->norm.n; i++)
		if (t->norm.step[i].kind == AX_NORM_BYTES)
			return true;
	return false;
}

bool ax_tokenizer_bytes(const struct ax_tokenizer *t, uint32_t id, struct ax_buf *b)
{
	size_t n;
	const char *p = ax_tokenizer_piece(t, id, &n), *prefix;
	size_t skip;
	int byte;

	if (!p)
		return false;
	if (ax_tokenizer_added(t, id)) {
		ax_buf_add(b, p, n);
		return true;
	}
	if (n == 6 && (byte = ax_model_byte(&t->model, id)) >= 0) {
		ax_buf_addc(b, (char)byte);
		return true;
	}
	prefix = ax_model_inside_prefix(&t->model, &skip);
	if (skip && n > skip && !memcmp(p, prefix, skip)) { /* "##ing" */
		p += skip;
		n -= skip;
	}
	if (spells_bytes(t) && unspell(p, n, b))
		return true;
	for (size_t i = 0; i < n; i++)
		if (t->spaces && n - i >= 3 && !memcmp(p + i, "\xE2\x96\x81", 3)) {
			ax_buf_addc(b, ' ');
			i += 2;
		} else {
			ax_buf_addc(b, p[i]);
		}
	return true;
}

size_t ax_tokenizer_size(const struct ax_tokenizer *t)
{
	size_t n = ax_model_size(&t->model);

	for (size_t i = 0; i < t->n_added; i++)
		n += ax_vocab_find(ax_model_vocab(&t->model), t->added[i].content, t->added[i].content_n) == AX_TOK_NONE;
	return n;
}

size_t ax_tokenizer_model_size(const struct ax_tokenizer *t)
{
	return ax_model_size(&t->model);
}

uint32_t ax_tokenizer_id_end(const struct ax_tokenizer *t)
{
	uint32_t added = t->n_added ? t->added[t->n_added - 1].id + 1 : 0, end = ax_model_vocab(&t->model)->id_end;

	return added > end ? added : end;
}

size_t ax_tokenizer_n_added(const struct ax_tokenizer *t)
{
	return t->n_added;
}

const struct ax_tok_added *ax_tokenizer_added_at(const struct ax_tokenizer *t, size_t i)
{
	return i < t->n_added ? &t->added[i] : NULL;
}

const uint32_t *ax_tokenizer_prefix(const struct ax_tokenizer *t, size_t *n)
{
	*n = t->n_prefix;
	return t->prefix;
}

const uint32_t *ax_tokenizer_suffix(const struct ax_tokenizer *t, size_t *n)
{
	*n = t->n_suffix;
	return t->suffix;
}

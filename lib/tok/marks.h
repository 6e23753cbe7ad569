/* Places of a text whose tokens are asked for (struct ax_tok_marks), inside of encoding. */
#ifndef AX_TOK_MARKS_H
#define AX_TOK_MARKS_H

#include "tok/tokenizer.h"

/* The next token begins at `at` or behind it, and none before ends behind it: it is the answer for places up to there. */
static inline void ax_marks_before(struct ax_tok_marks *m, size_t token, size_t at)
{
	for (; m->done < m->n && m->mark[m->done].at <= at; m->done++)
		m->mark[m->done].behind = m->mark[m->done].from = (uint32_t)token;
}

/* The ranges of the tokens from `from` on are known: the answers for all places before the end of the last. */
static inline void ax_marks_within(struct ax_tok_marks *m, const struct ax_ids *o, size_t from)
{
	size_t behind = from, begin = from;

	for (; from < o->n && m->done < m->n && m->mark[m->done].at < o->end[o->n - 1]; m->done++) {
		struct ax_tok_mark *k = &m->mark[m->done];

		while (o->end[behind] <= k->at)
			behind++;
		while (begin < o->n && o->begin[begin] < k->at)
			begin++;
		k->behind = (uint32_t)behind;
		k->from = (uint32_t)begin;
	}
}

#endif

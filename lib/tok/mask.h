/*
 * Loss masks of conversations: a thread of turns -> ids, and for each id whether it is trained.
 *
 *	struct ax_masker m;                                       // settings: one a data set, shared by threads
 *	struct ax_mask_work w;                                    // one a thread
 *	AX_TRY(ax_mask_work_init(&w, &m, e));
 *	AX_TRY(ax_mask_thread(&m, &thread, arena, &w, e));
 *	... w.ids.id[i], w.mask[i] for i < w.ids.n, w.note ...
 *	ax_mask_work_release(&w);
 *
 * AX_MASK_EXACT renders once. The template engine says of every byte of the text which value it came from; what came
 * from a trained turn is trained, with the template's own bytes between them, and the end of the turn:
 *	- a turn ends at the first end token behind its last byte and before the first byte of another turn;
 *	- reasoning and tool calls are trained from where the model begins to write (behind the generation prompt);
 *	- a token that holds a trained byte is trained, but one that also holds a byte of an untrained part is not.
 *
 * AX_MASK_AXOLOTL finds each turn as Axolotl 0.18 does, by rendering the conversation up to it twice, once with a
 * placeholder as content, and comparing ids from both ends; labels equal its labels, with its mistakes
 * (ax-tokenize(1) lists them). It costs two renders and two encodings of the growing text for every turn.
 */
#ifndef AX_TOK_MASK_H
#define AX_TOK_MASK_H

#include "base/err.h"
#include "base/mem.h"
#include "text/jinja.h"
#include "tok/chat.h"
#include "tok/tokenizer.h"

enum ax_mask_mode { AX_MASK_EXACT, AX_MASK_AXOLOTL };

/* Which end tokens are trained: those of trained turns, all, the last one, none. */
enum ax_train_end { AX_END_TURN, AX_END_ALL, AX_END_LAST, AX_END_NONE };

struct ax_masker {
	enum ax_mask_mode mode;
	const struct ax_tokenizer *tok;
	const struct ax_jinja *tmpl;
	struct ax_jinja_opt opt;
	const struct ax_val *vars; /* special tokens' texts, then the user's kwargs: maps or NULL */
	const struct ax_val *kwargs;
	bool train_on_inputs; /* every turn without a flag of its own is trained */
	bool no_inject;	      /* what came of the conversation forms no special tokens (tok/guard.h) */
	bool skip_system;     /* AX_MASK_AXOLOTL: a leading system turn is never looked for (Mistral) */
	enum ax_train_end eos, eot;
	uint32_t eos_id; /* AX_TOK_NONE: none */
	const uint32_t *eot_id;
	size_t n_eot;
	const uint32_t *marker; /* with no_inject: more tokens to guard, ascending (ax_mask_markers) */
	size_t n_marker;
	const char *thinking_key;
	const char *header; /* generation prompt; "" where the template has none */
	size_t header_n;
	const char *lead; /* then: the white space that the template writes in front of an answer */
	size_t lead_n;
};

/* What is to be reported of a conversation. */
enum ax_mask_note {
	AX_NOTE_NO_END = 1 << 0,  /* a trained turn whose end is not trained */
	AX_NOTE_NO_SPAN = 1 << 1, /* a trained turn of which nothing was found in the text */
	AX_NOTE_HELD = 1 << 2,	  /* no_inject: the conversation has text of special tokens, which stayed text */
};

struct ax_trace;

struct ax_mask_work {
	struct ax_tok_scratch *scratch;
	struct ax_rope rope;
	struct ax_ids ids, other, dummy;
	struct ax_tok_marks marks; /* where the mask may change, if that is known before the text is encoded; else none */
	size_t cap_marks;
	uint8_t *mask;
	size_t cap_mask;
	unsigned note;
	struct ax_guards guards;
	const struct ax_val **trusted; /* of this conversation: values that are no data, by address; in its arena */
	size_t n_trusted;
	struct ax_trace *trace; /* NULL, or gets how the mask came about (tok/mask_trace.h) */
};

int ax_mask_work_init(struct ax_mask_work *w, const struct ax_tokenizer *t, struct ax_err *e);
void ax_mask_work_release(struct ax_mask_work *w);

/* Ids and mask of one conversation into *w. AX_EDATA: the template refuses it. */
int ax_mask_thread(const struct ax_masker *m, const struct ax_thread *t, struct ax_arena *a, struct ax_mask_work *w,
		   struct ax_err *e);

/* Is the turn trained: its own flag, else whether it has trained parts, else its role? */
bool ax_turn_trained(const struct ax_masker *m, const struct ax_turn *t);

/* Render messages as a conversation; real_last <= 0: without real_last_index. */
int ax_mask_render(const struct ax_masker *m, const struct ax_val *messages, const struct ax_val *tools,
		   int64_t real_last, bool generation_prompt, struct ax_arena *a, struct ax_rope *out,
		   struct ax_err *e);

/*
 * header: what add_generation_prompt appends to a conversation of one user turn; "" where the template refuses it or
 * does not merely append. lead: where there is no header, the white space that an answer puts in front of its content.
 * Both in the arena.
 */
int ax_mask_header(struct ax_masker *m, struct ax_arena *a, struct ax_err *e);

/*
 * The added tokens that separate turns, whether or not the tokenizer marks them special: those that the template itself
 * writes in a plain exchange, and m->eot_id. Into m->marker, in the arena.
 */
int ax_mask_markers(struct ax_masker *m, struct ax_tok_scratch *s, struct ax_arena *a, struct ax_err *e);

/*
 * For the ways below. Trust: which values of a conversation are no data, though the template got them. Encode: ids of
 * w->rope, or of one value of the conversation, as m->no_inject says.
 */
int ax_mask_trust(const struct ax_masker *m, const struct ax_thread *t, struct ax_arena *a, struct ax_mask_work *w,
		  struct ax_err *e);
int ax_mask_encode(const struct ax_masker *m, struct ax_mask_work *w, unsigned flags, struct ax_ids *out,
		   struct ax_err *e);
int ax_mask_encode_value(const struct ax_masker *m, const struct ax_val *text, struct ax_mask_work *w, unsigned flags,
			 struct ax_ids *out, struct ax_err *e);

/*
 * The two ways; for ax_mask_thread. w->mask is cleared and w->ids filled already in _exact and _axolotl. _plan comes before:
 * it finds what of the text is to be trained, in the arena, and fills w->marks; with marks the ids need no ranges.
 */
struct ax_mask_plan;
int ax_mask_exact_plan(const struct ax_masker *m, const struct ax_thread *t, struct ax_arena *a, struct ax_mask_work *w,
		       struct ax_mask_plan **plan, struct ax_err *e);
int ax_mask_exact(struct ax_mask_plan *plan, struct ax_err *e);
int ax_mask_axolotl(const struct ax_masker *m, const struct ax_thread *t, struct ax_arena *a, struct ax_mask_work *w,
		    struct ax_err *e);

#endif

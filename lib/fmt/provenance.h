/*
 * Provenance: what the data went through. A stream's header has a list with an entry a tool, {tool, version, args, ...}.
 * What a tool knows only when its input has ended, the hashes of what it read, cannot be there: it is in the trailer's list
 * of the same name, whose k-th map completes the header's k-th entry. ax_provenance joins the two.
 *
 *	struct ax_inputs in;                                     // a tool in the middle of a pipe
 *	ax_inputs_init(&in);
 *	ax_stream_open(&s, path, e); s.inputs = &in;             // each stream is added when its trailer has been verified
 *	... read all inputs ...
 *	ax_stream_writer_finish(&w, drops, ax_inputs_trailer(&in, a), e);
 *	ax_inputs_release(&in);
 *
 * A stream that was read is {rows, tokens, sum, xxh3}: sum is the order-free checksum of its rows; xxh3 the XXH3-64 of its
 * bytes from header frame to trailer frame (what xxhsum -H3 prints of a file that holds one stream). The first stream's own
 * list goes on in the output's; later streams carry theirs here, as `provenance`. Memory is bounded: streams beyond
 * AX_INPUTS_MAX are one element, {streams, rows, tokens, xxh3}, whose hash is chained over theirs; what is too long as JSON
 * is {entries, xxh3} of its text.
 */
#ifndef AX_FMT_PROVENANCE_H
#define AX_FMT_PROVENANCE_H

#include "base/err.h"
#include "base/mem.h"
#include "text/val.h"

struct ax_totals;

#define AX_INPUTS_MAX 64
#define AX_INPUT_JSON ((size_t)1 << 20) /* bytes of JSON that a tool may say of its input */

struct ax_inputs {
	struct ax_arena arena;
	struct ax_val *done; /* what completes each entry of the first stream's list */
	struct ax_val *list; /* of streams */
	uint64_t n_stream;
	uint64_t rest_rows, rest_tokens, rest_hash; /* of those beyond AX_INPUTS_MAX */
};

void ax_inputs_init(struct ax_inputs *in);
void ax_inputs_release(struct ax_inputs *in);
/* A stream that has been read whole: its header and trailer, what was counted, the hash of its bytes. */
int ax_inputs_add(struct ax_inputs *in, const struct ax_val *header, const struct ax_val *trailer,
		  const struct ax_totals *counted, uint64_t hash, struct ax_err *e);
/* {provenance: list} for the trailer of a header whose list is the first stream's and one entry more; NULL: no memory. */
struct ax_val *ax_inputs_trailer(struct ax_inputs *in, struct ax_arena *a);

/* The header's list with each entry completed by the trailer's (NULL: none); empty where there is none; NULL: no memory. */
struct ax_val *ax_provenance(struct ax_arena *a, const struct ax_val *header, const struct ax_val *trailer);
/* v if its JSON is at most `limit` bytes, else {entries, xxh3}; NULL: no memory. */
struct ax_val *ax_provenance_bounded(struct ax_arena *a, struct ax_val *v, size_t limit);

#endif

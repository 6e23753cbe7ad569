/*
 * Token streams (ax-tokens(5)): a header frame, frames of rows, index frames, a trailer frame. The same bytes in a file
 * and in a pipe. Streams of the same tokenizer fingerprint may be concatenated; the reader sees one stream.
 *
 *	struct ax_stream_writer w;                                  struct ax_stream r;
 *	ax_stream_writer_open(&w, &out, header, level, e);          ax_stream_open(&r, path, e);      // r.header
 *	ax_stream_write(&w, &row, e);                               while (ax_stream_next(&r, &row, &end, e) == 0 && !end)
 *	ax_stream_writer_finish(&w, &drops, e);                             ...
 *	ax_stream_writer_release(&w);                               ax_stream_close(&r);              // r.totals
 *
 * The reader trusts nothing: frame checksums, block shape, row counts, totals and the order-free sum are checked before
 * `end` is reported; an input that stops before its trailer is AX_EDATA with the byte offset. Rows seen before an error
 * may be used only by a caller that throws its own output away on errors.
 */
#ifndef AX_FMT_STREAM_H
#define AX_FMT_STREAM_H

#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "fmt/block.h"
#include "fmt/frame.h"
#include "fmt/provenance.h"
#include "text/val.h"

#define AX_FORMAT_VERSION 0

/*
 * An entry of the index: u64 offset of the data frame from the header frame, u32 rows, u32 packs. The trailer's payload
 * is JSON followed by AX_STREAM_TAIL bytes, "\n%014x\n" with the size of the whole trailer frame, which is always raw:
 * so a seekable stream can be read from its end. The JSON holds totals, frames, index_frames, and index_offset and
 * trailer_offset (from the header frame).
 */
#define AX_STREAM_ENTRY 16
#define AX_STREAM_TAIL 16
#define AX_HEADER_MAX ((size_t)8 << 20) /* bytes of a header's JSON */

/* --- totals: carried in trailers, checked from tool to tool --- */

#define AX_REASON_MAX 64 /* bytes of a reason's name, with NUL */
#define AX_N_REASON 32

struct ax_reason {
	char name[AX_REASON_MAX]; /* "too_long", "nothing_trained" */
	uint64_t dropped, truncated;
};

struct ax_split_totals {
	uint64_t packs, rows, tokens, trained; /* packs: 0 in a token stream */
	struct ax_reason reason[AX_N_REASON];
	uint32_t n_reason;
};

struct ax_totals {
	struct ax_split_totals split[AX_N_SPLIT];
	struct ax_sum sum; /* order-free checksum of all rows */
	uint32_t max_id;   /* the largest id: a model must have as many embeddings */
};

/* Count n rows that were dropped, or cut, for a reason. A 33rd reason is counted as "other". */
void ax_totals_dropped(struct ax_totals *t, int split, const char *reason, uint64_t n);
void ax_totals_truncated(struct ax_totals *t, int split, const char *reason, uint64_t n);
/* Count one row that is in the stream (the writers and readers call it). */
void ax_totals_row(struct ax_totals *t, const struct ax_row *r);
void ax_totals_add(struct ax_totals *t, const struct ax_totals *other);
/* Clear the counts of rows and the sum, keep the reasons. */
void ax_totals_reasons_only(struct ax_totals *t);
/* As a JSON map (ax-stream(5)) and back; AX_EDATA when it is not one. */
struct ax_val *ax_totals_val(struct ax_arena *a, const struct ax_totals *t);
int ax_totals_parse(struct ax_totals *t, const struct ax_val *v, struct ax_err *e);
/* Do the counted rows agree (packs, rows, tokens, trained, sum; not the reasons)? AX_EDATA naming what differs. */
int ax_totals_match(const struct ax_totals *seen, const struct ax_totals *said, struct ax_err *e);

/* --- headers --- */

/*
 * A header is a JSON map with the keys
 *	kind "tokens" | "packs" | "shard" | "shards", version 0, id_bits 16 | 32, sequence_len (0: unset),
 *	tokenizer { fingerprint (32 hex digits), files [...], vocab_size, pad, bos, eos }, keys { resolved data keys },
 *	provenance [ { tool, version, args [...], ... } ] (fmt/provenance.h).
 * Unknown keys are kept. ax_header_new makes one (in arena a) with kind, version and id_bits.
 */
struct ax_val *ax_header_new(struct ax_arena *a, const char *kind, int id_bits);
/* A copy of `from` of another kind: what a tool in the middle of a pipe starts from. */
struct ax_val *ax_header_derive(struct ax_arena *a, const struct ax_val *from, const char *kind);
/*
 * Append {tool, version, args} to the provenance chain; `extra` (map or NULL) is merged into the entry (seeds). -o,
 * --output and --threads are not among the args: they decide nothing of what follows. With keep == false
 * (--no-provenance) the whole chain is removed instead. False when out of memory.
 */
bool ax_header_provenance(struct ax_arena *a, struct ax_val *header, bool keep, const char *tool, int argc,
			  char *const *argv, const struct ax_val *extra);
/* Check kind (NULL: any), version and the types of all keys above. */
int ax_header_check(const struct ax_val *header, const char *kind, struct ax_err *e);
/* May a stream with header b follow one with header a? Same kind and fingerprint; packs: same sequence_len. */
int ax_header_same(const struct ax_val *a, const struct ax_val *b, struct ax_err *e);
const char *ax_header_kind(const struct ax_val *header); /* "" when absent */
int ax_header_id_bits(const struct ax_val *header);      /* 16 or 32 of a checked header */
uint32_t ax_header_sequence_len(const struct ax_val *header);
/* Borrowed, not NUL-terminated beyond 32 hex digits; "" when absent (already tokenised rows without a tokenizer). */
void ax_header_fingerprint(const struct ax_val *header, char out[33]);

/* --- content sniffing: never the extension --- */

enum ax_file {
	AX_FILE_UNKNOWN, /* text and everything else */
	AX_FILE_TOKENS,
	AX_FILE_PACKS,
	AX_FILE_SHARD,        /* one file of a shard folder */
	AX_FILE_SHARD_INDEX,
	AX_FILE_SHARDS,       /* folder made by ax-shard */
	AX_FILE_SAFETENSORS,
	AX_FILE_MODEL,        /* folder with config.json and safetensors */
	AX_FILE_CHECKPOINT,   /* folder of ax-train: manifest.json */
	AX_FILE_ZSTD,
	AX_FILE_GZIP,
	AX_FILE_FRAMES,       /* our framing, unknown kind of stream */
	AX_FILE_DIR           /* another folder */
};

/* Look into a file or folder. Fails only if it cannot be read at all. "-" is not allowed. */
int ax_sniff(const char *path, enum ax_file *kind, struct ax_err *e);
const char *ax_file_name(enum ax_file kind); /* "token stream", "shard folder", ... */

/* --- writer --- */

/* A block on its way to the output, and what it is checked and compressed with. */
struct ax_outgoing {
	struct ax_buf payload;
	struct ax_sum sum; /* of the rows that were given */
	uint32_t n_row, n_pack;
	struct ax_frame_head head;
	const void *stored; /* in the payload or z */
	unsigned char *z;
	size_t z_cap;
	bool sealed;
	int rc; /* of sealing it */
	struct ax_err err;
};

struct ax_sealer {
	struct ax_frame_enc enc;
	struct ax_block check;
};

struct ax_stream_ring;

struct ax_stream_writer {
	struct ax_out *out;
	struct ax_arena arena;
	struct ax_block_writer block;
	struct ax_sealer sealer;
	struct ax_outgoing one;
	struct ax_stream_ring *ring; /* NULL: blocks are written at once */
	int level;
	struct ax_buf index; /* an entry a data frame, see ax-stream(5) */
	uint64_t base;       /* out->off at the start: offsets in the index count from here */
	uint64_t index_hash; /* chained over the entries */
	uint64_t n_frame;
	uint16_t data_kind;
	bool no_index;       /* shard files: the folder has one */
	struct ax_frame_head last; /* of the data frame written last */
	struct ax_sum block_sum; /* of the rows in the open block: what the encoded block must hold */
	struct ax_totals totals;
};

/*
 * `header` (checked here) is written at once. level: zstd level of the frames, 0 raw. `out` stays the caller's. Release
 * the writer also after a failure.
 */
int ax_stream_writer_open(struct ax_stream_writer *w, struct ax_out *out, const struct ax_val *header, int level,
			  struct ax_err *e);
int ax_stream_write(struct ax_stream_writer *w, const struct ax_row *r, struct ax_err *e);
/* The parts of ax_stream_write, for packs: must the open block be written before this much is added? Write it. Add. */
bool ax_stream_full(const struct ax_stream_writer *w, size_t n_token, size_t n_row);
int ax_stream_flush(struct ax_stream_writer *w, struct ax_err *e);
int ax_stream_add(struct ax_stream_writer *w, const struct ax_row *r, struct ax_err *e);
/* Write what is pending, the index and the trailer; `drops` (or NULL) adds its dropped and truncated counts. The caller
 * commits `out` afterwards. `extra` pairs (map or NULL) are merged into the trailer. */
int ax_stream_writer_finish(struct ax_stream_writer *w, const struct ax_totals *drops, const struct ax_val *extra,
			    struct ax_err *e);
void ax_stream_writer_release(struct ax_stream_writer *w);

/*
 * Blocks checked and compressed by several threads; the bytes written are the same. From now on full blocks wait in a ring
 * of n_thread + 2, and are written in order by whoever writes rows, still one thread at a time. `notify` is called by that
 * thread when one more waits. ax_stream_help takes one and seals it, by any of n_thread threads at a time; false: none
 * waits. A block that nobody has taken when the ring is full is sealed by the thread that writes. ax_stream_settle writes
 * all rows so far, with the others' help; then helping ends, and finish and release may follow. What goes wrong in sealing,
 * a later write or settle returns.
 */
int ax_stream_share(struct ax_stream_writer *w, size_t n_thread, void (*notify)(void *ctx), void *ctx, struct ax_err *e);
bool ax_stream_help(struct ax_stream_writer *w);
int ax_stream_settle(struct ax_stream_writer *w, struct ax_err *e);

/* --- reader --- */

struct ax_stream {
	struct ax_in in;
	struct ax_arena arena;
	struct ax_frame_dec dec;
	struct ax_block block;
	struct ax_arena one;          /* values of the current stream */
	struct ax_val *header;        /* of the first stream of a concatenation */
	struct ax_val *own_header;    /* of the current stream, until the next begins */
	struct ax_val *trailer;       /* of the current stream, when it is finished */
	struct ax_hash *hash;         /* of the current stream's bytes */
	struct ax_inputs *inputs;     /* borrowed, or NULL: gets each finished stream (fmt/provenance.h) */
	int id_bits;                  /* of the current stream */
	bool packs;                   /* kind "packs" or "shard" */
	bool in_member;               /* between a header and its trailer */
	uint64_t base;                /* offset of the current stream's header frame */
	uint64_t frame_off;           /* offset of the current data frame */
	uint64_t n_member, n_frame;   /* streams seen; data frames of the current one */
	uint64_t n_entry;             /* index entries of the current one */
	uint64_t data_hash, index_hash; /* chained over data frames as seen, and over index entries */
	uint64_t skipped;             /* frames of unknown kind skipped */
	bool sought, given;           /* ax_stream_seek: only the block that it found is left; ... and has been handed out */
	struct ax_totals member, totals; /* counted in the current stream; in all finished ones (with their reasons) */
};

/* Open a file or stdin ("-") and read its first header. A kind other than tokens, packs or shard is AX_EDATA. */
int ax_stream_open(struct ax_stream *s, const char *path, struct ax_err *e);
/* The next row, valid until the next call. *end after the last trailer has been verified. For packs too: row by row. */
int ax_stream_next(struct ax_stream *s, struct ax_row *r, bool *end, struct ax_err *e);
/* The next data frame's block (for packs and bulk users); do not mix with ax_stream_next. */
int ax_stream_block(struct ax_stream *s, struct ax_block **b, bool *end, struct ax_err *e);
void ax_stream_close(struct ax_stream *s);

/* --- a regular file from its end: trailers alone, the rows stay unverified --- */

struct ax_member { /* one stream of a concatenation, as its trailer tells */
	uint64_t begin, end;          /* bytes of the file */
	uint64_t index_off, n_index;  /* its index frames, from `begin` */
	struct ax_totals totals;
	const struct ax_val *trailer; /* valid during the call */
};

/*
 * Call fn for each stream, the last first; a result other than 0 ends it. AX_EDATA if the file does not end with a trailer,
 * AX_EUSAGE if it cannot be read from its end. Does not move `in`.
 */
typedef int ax_member_fn(void *ctx, const struct ax_member *m, struct ax_err *e);
int ax_stream_members(struct ax_in *in, ax_member_fn *fn, void *ctx, struct ax_err *e);

struct ax_tail {
	struct ax_arena *arena;
	struct ax_totals totals; /* of all streams */
	uint64_t n_stream;
	struct ax_val *first;    /* trailer of the first one, in the arena; NULL without an arena */
};

int ax_stream_tail(struct ax_in *in, struct ax_arena *a, struct ax_tail *t, struct ax_err *e);

/* What comes before a place in a stream. */
struct ax_place {
	uint64_t rows, packs;
};

/*
 * Go to the data frame that holds row n (with `pack`: pack n), from 1, by the trailers and the index. For a stream just
 * opened. After true, ax_stream_next and ax_stream_block give that frame and then *end; its checksum has been verified,
 * totals are not counted. False: nothing has changed, and the row must be found by reading: a pipe, a stream without index
 * (shard files), an n beyond the end, damage.
 */
bool ax_stream_seek(struct ax_stream *s, bool pack, uint64_t n, struct ax_place *before);

#endif

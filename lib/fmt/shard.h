/*
 * Shard folders (ax-shards(5)): N files of packs and one index, for training in any order.
 *
 *	DIR/index.axi            header frame (JSON: all below), then frames of entries: all train packs, then all eval
 *	DIR/shard-00000.axs ...  streams of kind "shard": one pack a frame, so a record is a frame, with its own checksum
 *
 * An entry is 48 bytes: u64 offset of the record's frame, u64 cost, u64 hash of the raw payload, u32 shard, u32 stored
 * bytes, u32 tokens, u32 trained tokens, u32 documents, u32 0. Frames of entries are raw and hold 1024 entries (the last
 * one of each split may hold fewer), so entry i is found by arithmetic, and an index of 10^8 packs opens at once: a frame
 * of entries is verified when first used.
 *
 *	struct ax_shards s;                                     struct ax_shards_writer w;
 *	AX_TRY(ax_shards_open(&s, dir, e));                     ax_shards_writer_open(&w, dir, header, n, level, e);
 *	ax_shards_entry(&s, split, i, &entry, e);               ax_shards_write(&w, &pack, e);
 *	ax_shards_read(&s, split, i, &pack, e);                 ax_shards_writer_finish(&w, ..., e);  // publishes the folder
 *	ax_shards_close(&s);                                    ax_shards_writer_release(&w);
 *
 * A reader belongs to one thread.
 */
#ifndef AX_FMT_SHARD_H
#define AX_FMT_SHARD_H

#include "fmt/pack.h"
#include "fmt/spool.h"

#define AX_SHARD_ENTRY 48
#define AX_SHARD_GROUP 1024 /* entries a frame */
#define AX_SHARD_MAX 65536  /* files */
#define AX_SHARD_INDEX "index.axi"

/* What the index says of one pack. */
struct ax_shard_entry {
	uint64_t off, cost, hash;
	uint32_t shard, stored, tokens, trained, docs;
};

struct ax_shards {
	char *dir;
	struct ax_arena arena;
	struct ax_val *header;        /* the index's JSON */
	uint32_t sequence_len;
	int id_bits;
	uint64_t n_pack[AX_N_SPLIT];
	struct ax_totals totals;
	uint32_t n_shard;
	struct ax_map index;
	uint64_t base[AX_N_SPLIT];    /* offset of the first frame of entries of a split */
	uint8_t *verified;            /* a bit a frame of entries */
	const char **name;            /* file of each shard */
	uint64_t *bytes;              /* its size */
	int fd[256];                  /* open shard files: slot = shard % 256 */
	uint32_t fd_shard[256];
	struct ax_frame_dec dec;
	struct ax_block block;
	struct ax_pack_buf buf;
	unsigned char *record;
	size_t record_cap;
};

int ax_shards_open(struct ax_shards *s, const char *dir, struct ax_err *e);
int ax_shards_entry(struct ax_shards *s, int split, uint64_t i, struct ax_shard_entry *en, struct ax_err *e);
/* Read and verify a pack; its arrays are valid until the next read. Errors name the shard file and the offset. */
int ax_shards_read(struct ax_shards *s, int split, uint64_t i, struct ax_pack *p, struct ax_err *e);
/* Ask the system to read the pack's record ahead; never fails. */
void ax_shards_prefetch(struct ax_shards *s, int split, uint64_t i);
/* Verify all: every entry, every record, each shard file as a stream, totals and the order-free sum. */
int ax_shards_check(struct ax_shards *s, struct ax_err *e);
void ax_shards_close(struct ax_shards *s);

struct ax_shards_writer {
	char *dir, *tmp;
	struct ax_arena arena;
	struct ax_val *header;
	uint32_t n_shard, sequence_len;
	struct ax_shards_file *file;  /* one open stream a shard */
	struct ax_spool entries[AX_N_SPLIT]; /* finished frames of entries */
	struct ax_buf pending[AX_N_SPLIT];   /* entries of the next one */
	uint64_t n_pack[AX_N_SPLIT];
	struct ax_totals totals;             /* of all that was written, with reasons after finish */
	const struct ax_val *trailer;        /* borrowed, or NULL, set before finish: completes the header's provenance */
};

/*
 * header: kind "packs" (as read) or "shards". The folder is made beside `dir` and published by finish; an existing `dir`
 * must be a shard folder or an empty one unless `force`. Pack k of a split goes to shard k mod n_shard.
 */
int ax_shards_writer_open(struct ax_shards_writer *w, const char *dir, const struct ax_val *header, uint32_t n_shard,
			  int level, bool force, struct ax_err *e);
int ax_shards_write(struct ax_shards_writer *w, const struct ax_pack *p, struct ax_err *e);
/*
 * Finish all files, let `verify` (or NULL) judge the totals of what was written, publish the folder. `drops` (or NULL)
 * adds its dropped and truncated counts.
 */
int ax_shards_writer_finish(struct ax_shards_writer *w, const struct ax_totals *drops,
			    int (*verify)(void *ctx, const struct ax_totals *written, struct ax_err *e), void *ctx,
			    struct ax_err *e);
/* Also removes an unpublished folder. */
void ax_shards_writer_release(struct ax_shards_writer *w);

#endif

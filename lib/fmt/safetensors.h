/*
 * safetensors: reader, layout and header writer, and Hugging Face model folders.
 *
 * A file is: u64 little-endian N, N bytes of JSON header, data. The header maps each tensor name to its dtype, shape and
 * [begin, end) in the data. Source: the README and tensor.rs of huggingface/safetensors.
 *
 * Reading, untrusted: N <= 100,000,000 and <= file size - 8; the header starts with '{'; offsets tile the data exactly
 * (no hole, no overlap, nothing behind), sizes equal shape times width by checked arithmetic; metadata is strings only.
 * Any order and alignment of tensors is accepted.
 *
 *	struct ax_st_file f;
 *	AX_TRY(ax_st_open(&f, "model.safetensors", e));       // AX_EIO, or AX_EDATA "FILE: what is wrong"
 *	t = ax_st_find(&f, "lm_head.weight");                 // t->data points into the map
 *	ax_st_close(&f);
 *
 * Writing: fill an array of tensors (name, dtype, shape), let ax_st_layout() order it as the reference writer does and
 * set offsets, write ax_st_header()'s bytes, then the data of each tensor at header_bytes + t->off.
 */
#ifndef AX_FMT_SAFETENSORS_H
#define AX_FMT_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "text/val.h"

#define AX_ST_DIM_MAX 8
#define AX_ST_HEADER_MAX 100000000u

/* In the reference crate's order, which is also the order of alignment that its writer sorts by. */
enum ax_st_dtype {
	AX_ST_BOOL, AX_ST_F4, AX_ST_F6_E2M3, AX_ST_F6_E3M2, AX_ST_U8, AX_ST_I8, AX_ST_F8_E5M2, AX_ST_F8_E4M3,
	AX_ST_F8_E8M0, AX_ST_F8_E4M3FNUZ, AX_ST_F8_E5M2FNUZ, AX_ST_I16, AX_ST_U16, AX_ST_F16, AX_ST_BF16, AX_ST_I32,
	AX_ST_U32, AX_ST_F32, AX_ST_C64, AX_ST_F64, AX_ST_I64, AX_ST_U64, AX_ST_N_DTYPE
};

const char *ax_st_dtype_name(enum ax_st_dtype t);
int ax_st_dtype_bits(enum ax_st_dtype t);
/* -1 for an unknown name. */
int ax_st_dtype_from(const char *name, size_t n);

struct ax_st_tensor {
	const char *name;
	enum ax_st_dtype dtype;
	int n_dim; /* 0: a scalar */
	int64_t dim[AX_ST_DIM_MAX];
	uint64_t off, bytes; /* inside the data */
	const void *data;    /* reading only: into the map */
};

/* Number of elements; the shape was checked against overflow when it was read. */
uint64_t ax_st_elems(const struct ax_st_tensor *t);

struct ax_st_file {
	char *path;
	struct ax_map map;
	struct ax_arena arena;
	struct ax_st_tensor *tensor; /* by ascending name */
	size_t n_tensor;
	const struct ax_val *metadata; /* map of strings, or NULL */
	uint64_t data_off;             /* of the data in the file */
};

int ax_st_open(struct ax_st_file *f, const char *path, struct ax_err *e);
const struct ax_st_tensor *ax_st_find(const struct ax_st_file *f, const char *name);
void ax_st_close(struct ax_st_file *f);

/*
 * Files that ax writes carry in their metadata, under each tensor's name, the XXH3-64 of its bytes as 16 hex digits.
 * *checked counts the tensors that had one. AX_EDATA names the first tensor whose bytes differ.
 */
int ax_st_check(const struct ax_st_file *f, size_t *checked, struct ax_err *e);
/* 16 lower-case hex digits -> *hash; false for anything else. */
bool ax_st_hash_parse(const struct ax_val *v, uint64_t *hash);

/* Order (widest dtype first, then name) and give offsets; *total is the size of the data. */
int ax_st_layout(struct ax_st_tensor *t, size_t n, uint64_t *total, struct ax_err *e);
/* Length word and header, padded with spaces to a multiple of 8. metadata: a map of strings, or NULL. */
int ax_st_header(struct ax_buf *b, const struct ax_st_tensor *t, size_t n, const struct ax_val *metadata, struct ax_err *e);

/*
 * A model folder: model.safetensors, or model.safetensors.index.json with its files. File names in the index are
 * untrusted: one plain component each. Every tensor of the index must be in its file; every file is opened and checked.
 */
struct ax_st_model {
	char *dir;
	struct ax_st_file *file;
	size_t n_file;
	struct ax_st_entry *entry; /* by ascending name */
	size_t n_entry;
};

struct ax_st_entry {
	const struct ax_st_tensor *t;
	const struct ax_st_file *file;
};

int ax_st_model_open(struct ax_st_model *m, const char *dir, struct ax_err *e);
const struct ax_st_entry *ax_st_model_find(const struct ax_st_model *m, const char *name);
void ax_st_model_close(struct ax_st_model *m);

#endif

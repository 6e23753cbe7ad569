/*
 * Inside of the CPU device. The table of ops starts as the reference (ref_*.c) and is overridden by what the machine
 * is fast at (fast_*.c). All ops run at once, in the caller and the device's pool.
 *
 * Work is split by ax_cpu_run: items [0, n), the cut depending on shapes alone, each item writing memory of its own; so
 * results do not depend on the number of threads. A worker has a slot with private scratch.
 */
#ifndef AX_TENSOR_CPU_CPU_H
#define AX_TENSOR_CPU_CPU_H

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "tensor/cpu/dnnl.h"
#include "tensor/cpu/kern.h"
#include "tensor/ops.h"

struct ax_cpu {
	struct ax_ops ops;
	struct ax_ops ref;          /* the reference, for what the fast table leaves to it */
	const struct ax_kern *kern; /* this and the next: NULL in the reference device */
	struct ax_dnnl *dnnl;
	enum ax_isa isa;  /* of our own kernels */
	bool native_bf16; /* products of bf16 run as such; otherwise operands are widened to f32 */
	struct ax_pool *pool;
	int n_threads;
	enum ax_dtype act;
	atomic_bool failed;  /* scratch could not be had: ops do nothing from then on, sync() says so */
	size_t wanted_bytes; /* what could not be had */
	void *shared;
	size_t shared_bytes;
	void *slots; /* n_threads times slot_bytes */
	size_t slot_bytes;
	void *wide; /* widened operands of a product */
	size_t wide_bytes;
	char name[96];
};

static inline struct ax_cpu *ax_cpu_of(struct ax_dev *d)
{
	return d->impl;
}

/* Element i of an act tensor, as float. */
static inline float ax_get(const void *p, enum ax_dtype t, size_t i)
{
	return t == AX_F32 ? ((const float *)p)[i] : t == AX_BF16 ? ax_bf16_to_f32(((const uint16_t *)p)[i]) : ax_f16_to_f32(((const uint16_t *)p)[i]);
}

static inline void ax_put(void *p, enum ax_dtype t, size_t i, float x)
{
	if (t == AX_F32)
		((float *)p)[i] = x;
	else
		((uint16_t *)p)[i] = t == AX_BF16 ? ax_f32_to_bf16(x) : ax_f32_to_f16(x);
}

static inline void ax_add_to(void *p, enum ax_dtype t, size_t i, float x)
{
	ax_put(p, t, i, ax_get(p, t, i) + x);
}

/* x rounded to t and back. */
static inline float ax_round_to(enum ax_dtype t, float x)
{
	return t == AX_BF16 ? ax_bf16_to_f32(ax_f32_to_bf16(x)) : t == AX_F16 ? ax_f16_to_f32(ax_f32_to_f16(x)) : x;
}

/* Elements i and on of an act tensor. */
static inline const void *ax_at(const void *p, enum ax_dtype t, size_t i)
{
	return (const char *)p + i * (t == AX_F32 ? 4 : 2);
}

static inline void *ax_at_mut(void *p, enum ax_dtype t, size_t i)
{
	return (char *)p + i * (t == AX_F32 ? 4 : 2);
}

/* fn(ctx, i, slot) for i in [0, n); slot < n_threads is not used by two calls at once. */
void ax_cpu_run(struct ax_cpu *c, size_t n, void (*fn)(void *ctx, size_t i, int slot), void *ctx);

/*
 * At least `shared` bytes for the op and `slot` bytes for each slot, aligned to 64, contents undefined; false (and the
 * device failed) when out of memory. The memory is the op's until it returns.
 */
bool ax_cpu_scratch(struct ax_cpu *c, size_t shared, size_t slot);
static inline void *ax_cpu_slot(const struct ax_cpu *c, int slot)
{
	return (char *)c->slots + (size_t)slot * c->slot_bytes;
}

/* The same for the widened operands of a product, which live beside the scratch of the op that runs the product. */
bool ax_cpu_wide(struct ax_cpu *c, size_t bytes);

/*
 * The product of dnnl.h cut into tiles by shape, on all threads. It uses the slots, not the
 * shared scratch.
 */
void ax_cpu_mm(struct ax_cpu *c, const struct ax_mm_shape *s, const void *a, const void *b, const void *bias, void *out);
/* Bytes of a slot, and of widened operands, that the products of these shapes use. */
size_t ax_cpu_mm_slot(const struct ax_shape *s);
size_t ax_cpu_mm_wide(const struct ax_cpu *c, const struct ax_shape *s);

/* Override what the fast table does better, a file each. */
void ax_fast_elem(struct ax_ops *o);
void ax_fast_adamw(struct ax_ops *o);
void ax_fast_norm(struct ax_ops *o);
void ax_fast_linear(struct ax_ops *o);
void ax_fast_head(struct ax_ops *o);
void ax_fast_attn(struct ax_ops *o);
size_t ax_fast_embed_shared(const struct ax_shape *s);
size_t ax_fast_head_shared(const struct ax_shape *s);
size_t ax_fast_attn_shared(const struct ax_shape *s);
size_t ax_fast_attn_slot(const struct ax_cpu *c, const struct ax_shape *s);

/* Fill the table with the reference, a file each. */
void ax_ref_elem(struct ax_ops *o);
void ax_ref_adamw(struct ax_ops *o);
void ax_ref_linear(struct ax_ops *o);
void ax_ref_norm(struct ax_ops *o);
void ax_ref_attn(struct ax_ops *o);
void ax_ref_head(struct ax_ops *o);

#endif

#define _GNU_SOURCE
#include "tensor/cpu/cpu.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

/* Large blocks sit on huge pages: a weight matrix walked by columns misses the TLB at each row otherwise. */
static void *alloc_block(size_t bytes, size_t align)
{
	size_t whole = bytes;
	void *p;

	if (bytes >= 2 * HUGE_PAGE) {
		if (!ax_add_size(bytes, HUGE_PAGE - 1, &whole))
			return NULL;
		align = HUGE_PAGE;
		whole &= ~(HUGE_PAGE - 1);
	}
	p = ax_malloc_aligned(align, whole);
	if (p && align == HUGE_PAGE)
		madvise(p, whole, MADV_HUGEPAGE);
	return p;
}

static void *cpu_alloc(struct ax_dev *d, size_t bytes)
{
	void *p = alloc_block(bytes, 256);

	if (p)
		memset(p, 0, bytes);
	return p;
}

static void cpu_free(struct ax_dev *d, void *p)
{
	ax_free(p);
}

static void cpu_copy(struct ax_dev *d, void *dst, const void *src, size_t bytes)
{
	if (bytes)
		memmove(dst, src, bytes);
}

static void cpu_zero(struct ax_dev *d, void *dst, size_t bytes)
{
	if (bytes)
		memset(dst, 0, bytes);
}

static int cpu_sync(struct ax_dev *d, struct ax_err *e)
{
	const struct ax_cpu *c = ax_cpu_of(d);

	if (c->failed)
		return ax_fail(e, AX_EMEM, "out of memory: %zu bytes of scratch for an operation", c->wanted_bytes);
	return 0;
}

struct run {
	void (*fn)(void *ctx, size_t i, int slot);
	void *ctx;
	size_t n;
	atomic_size_t next;
};

static void run_worker(void *ctx, size_t slot)
{
	struct run *r = ctx;
	size_t i;

	while ((i = atomic_fetch_add_explicit(&r->next, 1, memory_order_relaxed)) < r->n)
		r->fn(r->ctx, i, (int)slot);
}

void ax_cpu_run(struct ax_cpu *c, size_t n, void (*fn)(void *ctx, size_t i, int slot), void *ctx)
{
	struct run r = { .fn = fn, .ctx = ctx, .n = n };

	ax_pool_run(c->pool, n < (size_t)c->n_threads ? n : (size_t)c->n_threads, run_worker, &r);
}

static bool grow(struct ax_cpu *c, void **p, size_t *have, size_t want, size_t times)
{
	size_t bytes;
	void *q;

	if (c->failed || want <= *have)
		return !c->failed;
	want = (want + 4095) & ~(size_t)4095;
	q = ax_mul_size(want, times, &bytes) ? alloc_block(bytes, 64) : NULL;
	if (!q) {
		c->failed = true;
		c->wanted_bytes = want;
		return false;
	}
	ax_free(*p);
	*p = q;
	*have = want;
	return true;
}

bool ax_cpu_scratch(struct ax_cpu *c, size_t shared, size_t slot)
{
	return grow(c, &c->shared, &c->shared_bytes, shared, 1) && grow(c, &c->slots, &c->slot_bytes, slot, (size_t)c->n_threads);
}

bool ax_cpu_wide(struct ax_cpu *c, size_t bytes)
{
	return grow(c, &c->wide, &c->wide_bytes, bytes, 1);
}

static size_t ref_scratch_bytes(struct ax_dev *d, const struct ax_shape *s)
{
	return (size_t)s->V * sizeof(float);
}

static int ref_reserve(struct ax_dev *d, const struct ax_shape *s, struct ax_err *e)
{
	ax_cpu_scratch(ax_cpu_of(d), (size_t)s->V * sizeof(float), 0);
	return cpu_sync(d, e);
}

static size_t max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t shared_need(const struct ax_shape *s)
{
	return max_size(ax_fast_embed_shared(s), max_size(ax_fast_head_shared(s), ax_fast_attn_shared(s)));
}

static size_t slot_need(const struct ax_cpu *c, const struct ax_shape *s)
{
	return max_size(ax_cpu_mm_slot(s), ax_fast_attn_slot(c, s));
}

static size_t fast_scratch_bytes(struct ax_dev *d, const struct ax_shape *s)
{
	const struct ax_cpu *c = ax_cpu_of(d);

	return shared_need(s) + (size_t)c->n_threads * slot_need(c, s) + ax_cpu_mm_wide(c, s);
}

static int fast_reserve(struct ax_dev *d, const struct ax_shape *s, struct ax_err *e)
{
	struct ax_cpu *c = ax_cpu_of(d);

	if (ax_cpu_scratch(c, shared_need(s), slot_need(c, s)))
		ax_cpu_wide(c, ax_cpu_mm_wide(c, s));
	return cpu_sync(d, e);
}

static void reference_table(struct ax_ops *o)
{
	*o = (struct ax_ops){
		.alloc = cpu_alloc,
		.free = cpu_free,
		.upload = cpu_copy,
		.download = cpu_copy,
		.copy = cpu_copy,
		.zero = cpu_zero,
		.sync = cpu_sync,
		.scratch_bytes = ref_scratch_bytes,
		.reserve = ref_reserve,
	};
	ax_ref_elem(o);
	ax_ref_adamw(o);
	ax_ref_linear(o);
	ax_ref_norm(o);
	ax_ref_attn(o);
	ax_ref_head(o);
}

static void fast_table(struct ax_ops *o)
{
	o->scratch_bytes = fast_scratch_bytes;
	o->reserve = fast_reserve;
	ax_fast_elem(o);
	ax_fast_adamw(o);
	ax_fast_norm(o);
	ax_fast_linear(o);
	ax_fast_head(o);
	ax_fast_attn(o);
}

static int open_fast(struct ax_cpu *c, enum ax_isa most, struct ax_err *e)
{
	int major, minor, patch;

	AX_TRY(ax_dnnl_open(&c->dnnl, c->n_threads, e));
	c->isa = ax_isa_best(most);
	c->kern = ax_kern_of(c->isa);
	c->native_bf16 = c->isa == AX_ISA_AVX512_BF16 && ax_dnnl_has_bf16();
	fast_table(&c->ops);
	ax_dnnl_version(&major, &minor, &patch);
	snprintf(c->name, sizeof(c->name), "cpu (%s%s, oneDNN %d.%d.%d), %d thread%s", c->kern->isa, c->native_bf16 ? "-bf16" : "",
		 major, minor, patch, c->n_threads, c->n_threads == 1 ? "" : "s");
	return 0;
}

int ax_cpu_open(struct ax_dev *d, enum ax_dtype act, int n_threads, unsigned flags, struct ax_err *e)
{
	struct ax_cpu *c;
	int rc;

	*d = (struct ax_dev){ 0 };
	if (act != AX_F32 && act != AX_BF16)
		return ax_fail(e, AX_EUSAGE, "the CPU computes in f32 or bf16, not %s", ax_dtype_name(act));
	c = ax_calloc(1, sizeof(*c));
	if (!c)
		return ax_fail(e, AX_EMEM, "out of memory");
	c->act = act;
	c->n_threads = n_threads < 1 ? 1 : n_threads;
	*d = (struct ax_dev){ .ops = &c->ops, .act = act, .impl = c, .name = c->name, .deterministic = true, .close = ax_cpu_close };
	reference_table(&c->ref);
	c->ops = c->ref;
	snprintf(c->name, sizeof(c->name), "cpu (reference, %s)", ax_dtype_name(act));
	rc = ax_pool_new(&c->pool, c->n_threads, e);
	if (!rc && !(flags & AX_CPU_REFERENCE))
		rc = open_fast(c, flags & AX_CPU_PORTABLE ? AX_ISA_BASE : flags & AX_CPU_AVX2 ? AX_ISA_AVX2 : AX_ISA_AVX512_BF16, e);
	if (rc)
		ax_cpu_close(d);
	return rc;
}

void ax_cpu_close(struct ax_dev *d)
{
	struct ax_cpu *c = ax_cpu_of(d);

	if (!c)
		return;
	ax_pool_free(c->pool);
	ax_dnnl_close(c->dnnl);
	ax_free(c->wide);
	ax_free(c->shared);
	ax_free(c->slots);
	ax_free(c);
	*d = (struct ax_dev){ 0 };
}

#define _GNU_SOURCE
#include "tensor/cpu/dnnl.h"

#include <dlfcn.h>
#include <dnnl.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t desc_t;
typedef const_dnnl_memory_desc_t desc_ref;
#define REF(d) (d)
#else
typedef dnnl_memory_desc_t desc_t;
typedef const dnnl_memory_desc_t *desc_ref;
#define REF(d) (&(d))
#endif

enum { OPERAND_A, OPERAND_B, OPERAND_C, OPERAND_BIAS, N_OPERANDS };

struct ax_mm {
	struct ax_mm_shape shape;
	struct ax_mm *next;
	dnnl_primitive_t primitive;
	desc_t operand[N_OPERANDS];
	desc_ref scratchpad; /* belongs to the primitive */
	size_t scratch_bytes;
};

#define N_BUCKETS 256

struct ax_dnnl {
	dnnl_engine_t engine;
	dnnl_stream_t *stream; /* one a slot */
	int n_slots;
	void (*omp_set_num_threads)(int); /* NULL: a build of oneDNN without OpenMP */
	struct ax_mm *bucket[N_BUCKETS];
};

/* OpenMP keeps the number of threads for each thread of the process. */
static void use_one_thread(const struct ax_dnnl *x)
{
	static _Thread_local bool done;

	if (!done && x->omp_set_num_threads)
		x->omp_set_num_threads(1);
	done = true;
}

static dnnl_data_type_t type_of(enum ax_dtype t)
{
	return t == AX_BF16 ? dnnl_bf16 : dnnl_f32;
}

static bool describe(desc_t *d, int rows, int cols, size_t row_stride, size_t col_stride, enum ax_dtype t)
{
	dnnl_dims_t dim = { rows, cols }, stride = { (dnnl_dim_t)row_stride, (dnnl_dim_t)col_stride };

#if DNNL_VERSION_MAJOR >= 3
	return dnnl_memory_desc_create_with_strides(d, 2, dim, type_of(t), stride) == dnnl_success;
#else
	return dnnl_memory_desc_init_by_strides(d, 2, dim, type_of(t), stride) == dnnl_success;
#endif
}

static bool describe_all(struct ax_mm *mm)
{
	const struct ax_mm_shape *s = &mm->shape;

	return describe(&mm->operand[OPERAND_A], s->m, s->k, s->ta ? 1 : s->lda, s->ta ? s->lda : 1, s->in) &&
	       describe(&mm->operand[OPERAND_B], s->k, s->n, s->tb ? 1 : s->ldb, s->tb ? s->ldb : 1, s->in) &&
	       describe(&mm->operand[OPERAND_C], s->m, s->n, s->ldc, 1, s->out) &&
	       (!s->bias || describe(&mm->operand[OPERAND_BIAS], 1, s->n, (size_t)s->n, 1, s->in));
}

static bool make_attr(dnnl_primitive_attr_t *attr, bool accumulate)
{
	dnnl_post_ops_t post = NULL;
	bool ok = dnnl_primitive_attr_create(attr) == dnnl_success &&
		  dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user) == dnnl_success;

	if (ok && accumulate) {
#if DNNL_VERSION_MAJOR >= 3
		ok = dnnl_post_ops_create(&post) == dnnl_success &&
		     dnnl_post_ops_append_sum(post, 1, 0, dnnl_data_type_undef) == dnnl_success;
#else
		ok = dnnl_post_ops_create(&post) == dnnl_success && dnnl_post_ops_append_sum(post, 1) == dnnl_success;
#endif
		ok = ok && dnnl_primitive_attr_set_post_ops(*attr, post) == dnnl_success;
		dnnl_post_ops_destroy(post);
	}
	return ok;
}

static dnnl_status_t make_primitive_desc(dnnl_primitive_desc_t *pd, const struct ax_dnnl *x, const struct ax_mm *mm, dnnl_primitive_attr_t attr)
{
	const desc_t *o = mm->operand;

#if DNNL_VERSION_MAJOR >= 3
	return dnnl_matmul_primitive_desc_create(pd, x->engine, o[OPERAND_A], o[OPERAND_B], mm->shape.bias ? o[OPERAND_BIAS] : NULL, o[OPERAND_C], attr);
#else
	dnnl_matmul_desc_t d;
	dnnl_status_t rc = dnnl_matmul_desc_init(&d, &o[OPERAND_A], &o[OPERAND_B], mm->shape.bias ? &o[OPERAND_BIAS] : NULL, &o[OPERAND_C]);

	return rc ? rc : dnnl_primitive_desc_create(pd, &d, attr, x->engine, NULL);
#endif
}

static bool compile(const struct ax_dnnl *x, struct ax_mm *mm)
{
	dnnl_primitive_attr_t attr = NULL;
	dnnl_primitive_desc_t pd = NULL;
	const_dnnl_primitive_desc_t own;
	bool ok = describe_all(mm) && make_attr(&attr, mm->shape.accumulate) && make_primitive_desc(&pd, x, mm, attr) == dnnl_success &&
		  dnnl_primitive_create(&mm->primitive, pd) == dnnl_success && dnnl_primitive_get_primitive_desc(mm->primitive, &own) == dnnl_success;

	if (ok) {
		mm->scratchpad = dnnl_primitive_desc_query_md(own, dnnl_query_scratchpad_md, 0);
		mm->scratch_bytes = mm->scratchpad ? dnnl_memory_desc_get_size(mm->scratchpad) : 0;
	}
	dnnl_primitive_desc_destroy(pd);
	dnnl_primitive_attr_destroy(attr);
	return ok;
}

static void mm_free(struct ax_mm *mm)
{
#if DNNL_VERSION_MAJOR >= 3
	for (int i = 0; i < N_OPERANDS; i++)
		if (mm->operand[i])
			dnnl_memory_desc_destroy(mm->operand[i]);
#endif
	if (mm->primitive)
		dnnl_primitive_destroy(mm->primitive);
	ax_free(mm);
}

static bool same(const struct ax_mm_shape *a, const struct ax_mm_shape *b)
{
	return a->m == b->m && a->n == b->n && a->k == b->k && a->lda == b->lda && a->ldb == b->ldb && a->ldc == b->ldc &&
	       a->in == b->in && a->out == b->out && a->ta == b->ta && a->tb == b->tb && a->accumulate == b->accumulate && a->bias == b->bias;
}

static size_t bucket_of(const struct ax_mm_shape *s)
{
	size_t h = (size_t)s->m;

	h = h * 31 + (size_t)s->n;
	h = h * 31 + (size_t)s->k;
	return (h * 31 + s->lda + 7 * s->ldb + 3 * s->ldc + s->ta + 2U * s->tb + 4U * s->accumulate) % N_BUCKETS;
}

const struct ax_mm *ax_dnnl_get(struct ax_dnnl *x, const struct ax_mm_shape *s)
{
	size_t b = bucket_of(s);
	struct ax_mm *mm;

	for (mm = x->bucket[b]; mm; mm = mm->next)
		if (same(&mm->shape, s))
			return mm;
	mm = ax_calloc(1, sizeof(*mm));
	if (!mm)
		return NULL;
	mm->shape = *s;
	use_one_thread(x);
	if (!compile(x, mm)) {
		mm_free(mm);
		return NULL;
	}
	mm->next = x->bucket[b];
	x->bucket[b] = mm;
	return mm;
}

size_t ax_mm_scratch(const struct ax_mm *mm)
{
	return (mm->scratch_bytes + 63) & ~(size_t)63;
}

/* oneDNN's memory objects do not know const; inputs are only read. */
static void *untyped(const void *p)
{
	void *q;

	memcpy(&q, &p, sizeof(q));
	return q;
}

bool ax_mm_run(const struct ax_dnnl *x, const struct ax_mm *mm, int slot, void *scratch, const void *a, const void *b, const void *bias, void *c)
{
	static const int arg_of[] = { DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_BIAS };
	void *data[N_OPERANDS] = { untyped(a), untyped(b), c, untyped(bias) };
	dnnl_exec_arg_t arg[N_OPERANDS + 1];
	int n = 0, n_operands = mm->shape.bias ? N_OPERANDS : N_OPERANDS - 1;
	bool ok = true;

	use_one_thread(x);
	for (int i = 0; ok && i < n_operands; i++) {
		ok = dnnl_memory_create(&arg[n].memory, REF(mm->operand[i]), x->engine, data[i]) == dnnl_success;
		if (ok)
			arg[n++].arg = arg_of[i];
	}
	if (ok && mm->scratch_bytes) {
		ok = dnnl_memory_create(&arg[n].memory, mm->scratchpad, x->engine, scratch) == dnnl_success;
		if (ok)
			arg[n++].arg = DNNL_ARG_SCRATCHPAD;
	}
	ok = ok && dnnl_primitive_execute(mm->primitive, x->stream[slot], n, arg) == dnnl_success && dnnl_stream_wait(x->stream[slot]) == dnnl_success;
	while (n > 0)
		dnnl_memory_destroy(arg[--n].memory);
	return ok;
}

bool ax_dnnl_has_bf16(void)
{
	/* The ISA levels are bit sets that include the lower ones, but not those of AVX2-only lines. */
	unsigned isa = (unsigned)dnnl_get_effective_cpu_isa(), want = (unsigned)dnnl_cpu_isa_avx512_core_bf16;

	return (isa & want) == want;
}

void ax_dnnl_version(int *major, int *minor, int *patch)
{
	const dnnl_version_t *v = dnnl_version();

	*major = v->major;
	*minor = v->minor;
	*patch = v->patch;
}

void ax_dnnl_close(struct ax_dnnl *x)
{
	if (!x)
		return;
	for (size_t b = 0; b < N_BUCKETS; b++)
		while (x->bucket[b]) {
			struct ax_mm *mm = x->bucket[b];

			x->bucket[b] = mm->next;
			mm_free(mm);
		}
	for (int i = 0; x->stream && i < x->n_slots; i++)
		if (x->stream[i])
			dnnl_stream_destroy(x->stream[i]);
	if (x->engine)
		dnnl_engine_destroy(x->engine);
	ax_free(x->stream);
	ax_free(x);
}

int ax_dnnl_open(struct ax_dnnl **out, int n_slots, struct ax_err *e)
{
	struct ax_dnnl *x = ax_calloc(1, sizeof(*x));
	void *fn = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
	bool ok = x && (x->stream = ax_calloc((size_t)n_slots, sizeof(*x->stream)));

	if (ok) {
		memcpy(&x->omp_set_num_threads, &fn, sizeof(fn));
		x->n_slots = n_slots;
		use_one_thread(x);
		ok = dnnl_engine_create(&x->engine, dnnl_cpu, 0) == dnnl_success;
	}
	for (int i = 0; ok && i < n_slots; i++)
		ok = dnnl_stream_create(&x->stream[i], x->engine, dnnl_stream_default_flags) == dnnl_success;
	if (!ok) {
		ax_dnnl_close(x);
		return ax_fail(e, AX_EMEM, "oneDNN cannot be started (out of memory)");
	}
	*out = x;
	return 0;
}

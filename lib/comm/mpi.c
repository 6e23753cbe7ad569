/*
 * The MPI plugin. Every collective is made of nonblocking point-to-point messages, so that waiting is ours (deadlines,
 * watchdog) and the order of sums is ours (rank order, f32): Open MPI's own reductions promise neither.
 *
 * A collective is a struct op in its communicator's list; progress() moves all of them. An op posts its sends at once,
 * and its receives at once too unless they go through scratch memory: a sum keeps AX_COMM_WINDOW pieces from each rank
 * in flight, and adds a piece when all ranks' copies of it have arrived. An all-reduce is a reduce-scatter into the own
 * slice and then (phase 1) an all-gather of the slices.
 *
 * Tags tell collectives of one communicator apart: receives of a later one may be posted before the last of an earlier.
 */
#define _GNU_SOURCE
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "comm/plugin.h"
#include "comm/sum.h"

#define PLAIN_PIECE ((size_t)256 << 20) /* bytes of one message that needs no scratch */
#define N_TAG 16384                     /* collectives that can be in flight; tags stay below 32767 */
#define N_SPARE 3                       /* sums in flight that reuse their scratch */
#define SUM_BLOCK ((size_t)2048)        /* elements summed while they stay in the first-level cache */

enum kind { PLAIN, REDUCE, ALL_REDUCE };

struct op {
	struct op *next;
	enum kind kind;
	int tag;
	bool done, gathering; /* gathering: phase 1 of an all-reduce */
	/* Requests: n_send sends, then receives; a completed one is MPI_REQUEST_NULL. */
	MPI_Request *req;
	int *peer, *index;
	MPI_Status *status;
	int n_req, n_send, n_pending;
	/* Sums. Slice k of src belongs to rank k: elements [k * stride, k * stride + len of k). */
	const char *src;
	char *dst;
	enum ax_sum_type type;
	size_t size; /* of an element */
	size_t stride, n_elem, own_len;
	bool accumulate;
	char *scratch; /* window x (n - 1) pieces */
	size_t scratch_bytes;
	size_t n_chunk, n_summed, n_posted, chunk_elems;
	int missing[AX_COMM_WINDOW];
};

struct mpi {
	MPI_Comm comm;
	struct op *first;
	uint64_t n_started;
	bool world;
	struct {
		char *p;
		size_t bytes;
	} spare[N_SPARE]; /* scratch of the last sums, kept for the next */
};

static struct mpi *impl(const struct ax_comm *c)
{
	return c->impl;
}

static int mpi_fail(int code, const char *what, struct ax_err *e)
{
	char text[MPI_MAX_ERROR_STRING] = "";
	int n = 0;

	MPI_Error_string(code, text, &n);
	return ax_fail(e, AX_ECOMM, "%s: MPI: %s", what, text);
}

#define MPI_TRY(expr, what)                                                                                            \
	do {                                                                                                           \
		int mpi_try_rc_ = (expr);                                                                              \
		if (mpi_try_rc_ != MPI_SUCCESS)                                                                        \
			return mpi_fail(mpi_try_rc_, what, e);                                                         \
	} while (0)

static void op_free(struct op *o)
{
	if (!o)
		return;
	ax_free(o->req);
	ax_free(o->peer);
	ax_free(o->index);
	ax_free(o->status);
	ax_free(o->scratch);
	ax_free(o);
}

/* Room for n requests in total; those that are there stay. */
static int op_room(struct op *o, size_t n, struct ax_err *e)
{
	void *p;

	if (n > INT32_MAX / 2)
		return ax_fail(e, AX_EMEM, "%zu messages in one collective: too many", n);
#define ROOM(field)                                                                                                    \
	do {                                                                                                           \
		p = ax_realloc_array(o->field, n, sizeof(*o->field));                                                  \
		if (!p)                                                                                                \
			return ax_fail(e, AX_EMEM, "no memory for %zu messages", n);                                   \
		o->field = p;                                                                                          \
	} while (0)
	ROOM(req);
	ROOM(peer);
	ROOM(index);
	ROOM(status);
#undef ROOM
	return 0;
}

static int op_new(struct ax_comm *c, enum kind kind, struct op **out, struct ax_err *e)
{
	struct op *o = ax_calloc(1, sizeof(*o));

	if (!o)
		return ax_fail(e, AX_EMEM, "no memory for a collective");
	o->kind = kind;
	o->tag = (int)(impl(c)->n_started++ % N_TAG) * 2;
	*out = o;
	return 0;
}

static void op_enlist(struct ax_comm *c, struct op *o, struct ax_comm_req *r)
{
	struct op **at = &impl(c)->first;

	while (*at)
		at = &(*at)->next;
	*at = o;
	r->impl = o;
}

static int post_send(struct ax_comm *c, struct op *o, const void *p, size_t bytes, int to, struct ax_err *e)
{
	o->peer[o->n_req] = to;
	MPI_TRY(MPI_Isend(p, (int)bytes, MPI_BYTE, to, o->tag + o->gathering, impl(c)->comm, &o->req[o->n_req]),
		"send");
	o->n_req++;
	o->n_pending++;
	return 0;
}

static int post_recv(struct ax_comm *c, struct op *o, int at, void *p, size_t bytes, int from, struct ax_err *e)
{
	o->peer[at] = from;
	MPI_TRY(MPI_Irecv(p, (int)bytes, MPI_BYTE, from, o->tag + o->gathering, impl(c)->comm, &o->req[at]), "receive");
	if (at >= o->n_req)
		o->n_req = at + 1;
	o->n_pending++;
	return 0;
}

static size_t n_pieces(size_t bytes, size_t piece)
{
	return bytes / piece + (bytes % piece != 0);
}

/* All sends of `bytes` at p to one rank, in plain pieces; or all receives. */
static int post_plain(struct ax_comm *c, struct op *o, bool send, char *p, size_t bytes, int other, struct ax_err *e)
{
	for (size_t off = 0; off < bytes; off += PLAIN_PIECE) {
		size_t n = bytes - off < PLAIN_PIECE ? bytes - off : PLAIN_PIECE;

		if (send)
			AX_TRY(post_send(c, o, p + off, n, other, e));
		else
			AX_TRY(post_recv(c, o, o->n_req, p + off, n, other, e));
	}
	return 0;
}

/*
 * Everybody's slice to everybody: rank k's is at base + k * stride, that long but for the end at total (bytes). Ranks
 * talk to their neighbours first, so that not all send to rank 0 at once.
 */
static int post_gather(struct ax_comm *c, struct op *o, char *base, size_t stride, size_t total, struct ax_err *e)
{
	size_t pieces = n_pieces(stride, PLAIN_PIECE);
	size_t off = (size_t)c->rank * stride, own = off >= total ? 0 : total - off < stride ? total - off : stride;

	AX_TRY(op_room(o, 2 * pieces * (size_t)(c->n_rank - 1) + 1, e));
	for (int k = 1; k < c->n_rank; k++) {
		int from = (c->rank + c->n_rank - k) % c->n_rank;
		size_t at = (size_t)from * stride;

		if (at < total)
			AX_TRY(post_plain(c, o, false, base + at, total - at < stride ? total - at : stride, from, e));
	}
	for (int k = 1; k < c->n_rank; k++)
		AX_TRY(post_plain(c, o, true, base + off, own, (c->rank + k) % c->n_rank, e));
	return 0;
}

static int mpi_all_gather(struct ax_comm *c, void *dst, const void *src, size_t bytes, struct ax_comm_req *r,
			  struct ax_err *e)
{
	char *own = (char *)dst + (size_t)c->rank * bytes;
	struct op *o = NULL;
	size_t total;
	int rc;

	if (!ax_mul_size(bytes, (size_t)c->n_rank, &total))
		return ax_fail(e, AX_EMEM, "%zu bytes from each of %d ranks: too many", bytes, c->n_rank);
	if (own != src)
		memcpy(own, src, bytes);
	AX_TRY(op_new(c, PLAIN, &o, e));
	rc = post_gather(c, o, dst, bytes, total, e);
	if (!rc)
		op_enlist(c, o, r);
	else
		op_free(o); /* requests may be in flight: the caller's only way on is to leave */
	return rc;
}

static int mpi_broadcast(struct ax_comm *c, void *p, size_t bytes, int root, struct ax_comm_req *r, struct ax_err *e)
{
	size_t pieces = n_pieces(bytes, PLAIN_PIECE);
	struct op *o = NULL;
	int rc;

	AX_TRY(op_new(c, PLAIN, &o, e));
	rc = op_room(o, pieces * (size_t)c->n_rank + 1, e);
	if (!rc && c->rank != root)
		rc = post_plain(c, o, false, p, bytes, root, e);
	for (int k = 0; !rc && c->rank == root && k < c->n_rank; k++)
		if (k != root)
			rc = post_plain(c, o, true, p, bytes, k, e);
	if (!rc)
		op_enlist(c, o, r);
	else
		op_free(o);
	return rc;
}

/* ---- sums ---- */

static size_t slice_len(const struct op *o, int rank)
{
	size_t at = (size_t)rank * o->stride;

	return at >= o->n_elem ? 0 : o->n_elem - at < o->stride ? o->n_elem - at : o->stride;
}

static size_t chunk_len(const struct op *o, size_t chunk, size_t slice)
{
	size_t at = chunk * o->chunk_elems;

	return at >= slice ? 0 : slice - at < o->chunk_elems ? slice - at : o->chunk_elems;
}

/* Where rank k's copy of a chunk lands. */
static char *landing(const struct ax_comm *c, const struct op *o, size_t chunk, int k)
{
	size_t others = (size_t)(c->n_rank - 1), slot = (size_t)(k < c->rank ? k : k - 1);

	return o->scratch + ((chunk % AX_COMM_WINDOW) * others + slot) * o->chunk_elems * o->size;
}

static int post_chunk(struct ax_comm *c, struct op *o, size_t chunk, struct ax_err *e)
{
	int others = c->n_rank - 1, w = (int)(chunk % AX_COMM_WINDOW);

	for (int k = 0; k < c->n_rank; k++) {
		if (k == c->rank)
			continue;
		AX_TRY(post_recv(c, o, o->n_send + w * others + (k < c->rank ? k : k - 1), landing(c, o, chunk, k),
				 chunk_len(o, chunk, o->own_len) * o->size, k, e));
	}
	o->missing[w] = others;
	o->n_posted++;
	return 0;
}

/* dst = or += copy 0 + copy 1 + ... in rank order. */
static void sum_chunk(const struct ax_comm *c, struct op *o, size_t chunk)
{
	size_t n = chunk_len(o, chunk, o->own_len), at = chunk * o->chunk_elems;
	const char *own = o->src + ((size_t)c->rank * o->stride + at) * o->size;
	char *dst = o->dst + at * o->size;
	float sum[SUM_BLOCK];

	for (size_t b = 0; b < n; b += SUM_BLOCK) {
		size_t m = n - b < SUM_BLOCK ? n - b : SUM_BLOCK;

		for (int k = 0; k < c->n_rank; k++)
			ax_sums_take(sum, (k == c->rank ? own : landing(c, o, chunk, k)) + b * o->size, o->type, m, k > 0);
		if (o->accumulate) {
			char rounded[SUM_BLOCK * sizeof(*sum)];

			ax_sums_put(rounded, o->type, sum, m);
			ax_sums_add(dst + b * o->size, rounded, o->type, m);
		} else {
			ax_sums_put(dst + b * o->size, o->type, sum, m);
		}
	}
}

static size_t scratch_bytes(const struct ax_comm *c, const struct op *o)
{
	return AX_COMM_WINDOW * (size_t)(c->n_rank - 1) * o->chunk_elems * o->size;
}

static int scratch_take(struct ax_comm *c, struct op *o, struct ax_err *e)
{
	size_t bytes = scratch_bytes(c, o);
	struct mpi *m = impl(c);

	for (int i = 0; i < N_SPARE; i++)
		if (m->spare[i].p && m->spare[i].bytes >= bytes) {
			o->scratch = m->spare[i].p;
			o->scratch_bytes = m->spare[i].bytes;
			m->spare[i].p = NULL;
			return 0;
		}
	o->scratch = ax_malloc_aligned(64, bytes);
	o->scratch_bytes = bytes;
	return o->scratch ? 0 : ax_fail(e, AX_EMEM, "no memory for a sum over ranks (%zu bytes)", bytes);
}

static void scratch_give(struct ax_comm *c, struct op *o)
{
	struct mpi *m = impl(c);

	for (int i = 0; o->scratch && i < N_SPARE; i++)
		if (!m->spare[i].p || m->spare[i].bytes < o->scratch_bytes) {
			ax_free(m->spare[i].p);
			m->spare[i].p = o->scratch;
			m->spare[i].bytes = o->scratch_bytes;
			o->scratch = NULL;
		}
}

static int post_sum(struct ax_comm *c, struct op *o, struct ax_err *e)
{
	size_t others = (size_t)(c->n_rank - 1), piece = AX_COMM_PIECE / o->size, chunks = n_pieces(o->stride, piece);

	o->chunk_elems = o->stride < piece ? o->stride : piece;
	o->own_len = slice_len(o, c->rank);
	o->n_chunk = n_pieces(o->own_len, o->chunk_elems ? o->chunk_elems : 1);
	AX_TRY(op_room(o, (chunks + AX_COMM_WINDOW) * others + 1, e));
	AX_TRY(scratch_take(c, o, e));
	for (size_t chunk = 0; chunk < chunks; chunk++)
		for (int k = 1; k < c->n_rank; k++) {
			int to = (c->rank + k) % c->n_rank;
			size_t n = chunk_len(o, chunk, slice_len(o, to));

			if (n)
				AX_TRY(post_send(c, o, o->src + ((size_t)to * o->stride + chunk * o->chunk_elems) * o->size,
						 n * o->size, to, e));
		}
	o->n_send = o->n_req;
	for (size_t i = 0; i < AX_COMM_WINDOW * others; i++)
		o->req[o->n_req++] = MPI_REQUEST_NULL;
	while (o->n_posted < o->n_chunk && o->n_posted < AX_COMM_WINDOW)
		AX_TRY(post_chunk(c, o, o->n_posted, e));
	return 0;
}

static int start_sum(struct ax_comm *c, enum kind kind, void *dst, const void *src, enum ax_sum_type t, size_t stride, size_t n_elem,
		     bool accumulate, struct ax_comm_req *r, struct ax_err *e)
{
	struct op *o = NULL;
	int rc;

	AX_TRY(op_new(c, kind, &o, e));
	o->src = src;
	o->dst = dst;
	o->type = t;
	o->size = ax_sum_bytes(t);
	o->stride = stride;
	o->n_elem = n_elem;
	o->accumulate = accumulate;
	rc = post_sum(c, o, e);
	if (!rc)
		op_enlist(c, o, r);
	else
		op_free(o);
	return rc;
}

static int mpi_reduce_scatter(struct ax_comm *c, void *dst, void *src, size_t n, enum ax_sum_type t, bool accumulate,
			      struct ax_comm_req *r, struct ax_err *e)
{
	size_t total;

	if (!ax_mul_size(n, (size_t)c->n_rank, &total))
		return ax_fail(e, AX_EMEM, "%zu elements for each of %d ranks: too many", n, c->n_rank);
	return start_sum(c, REDUCE, dst, src, t, n, total, accumulate, r, e);
}

static int mpi_all_reduce(struct ax_comm *c, void *x, size_t n, enum ax_sum_type t, struct ax_comm_req *r, struct ax_err *e)
{
	size_t stride = n / (size_t)c->n_rank + (n % (size_t)c->n_rank != 0), at = (size_t)c->rank * stride;

	/* The own slice may lie behind the end; then nothing is summed and dst is not used. */
	return start_sum(c, ALL_REDUCE, (char *)x + (at < n ? at : 0) * ax_sum_bytes(t), x, t, stride, n, false, r, e);
}

/* Requests that finished: count them, add up what became complete, post what follows. */
static int op_sum(struct ax_comm *c, struct op *o, struct ax_err *e)
{
	while (o->n_summed < o->n_posted && o->missing[o->n_summed % AX_COMM_WINDOW] == 0) {
		sum_chunk(c, o, o->n_summed++);
		if (o->n_posted < o->n_chunk)
			AX_TRY(post_chunk(c, o, o->n_posted, e));
	}
	return 0;
}

static int op_finish(struct ax_comm *c, struct op *o, struct ax_err *e)
{
	if (o->n_pending > 0 || o->n_summed < o->n_chunk)
		return 0;
	if (o->kind == ALL_REDUCE && !o->gathering) {
		/* Only now may slices be overwritten: all sends of them are complete. */
		scratch_give(c, o);
		o->gathering = true;
		o->n_req = o->n_send = 0;
		return post_gather(c, o, (char *)(uintptr_t)o->src, o->stride * o->size, o->n_elem * o->size, e);
	}
	scratch_give(c, o);
	o->done = true;
	return 0;
}

static int op_move(struct ax_comm *c, struct op *o, struct ax_err *e)
{
	int n = 0, others = c->n_rank - 1;

	if (o->n_pending > 0) {
		MPI_TRY(MPI_Testsome(o->n_req, o->req, &n, o->index, o->status), "test");
		if (n == MPI_UNDEFINED)
			n = 0;
		o->n_pending -= n;
		c->n_moved += (uint64_t)n;
		for (int i = 0; i < n && o->kind != PLAIN && !o->gathering; i++)
			if (o->index[i] >= o->n_send)
				o->missing[(o->index[i] - o->n_send) / others]--;
	}
	if (o->kind != PLAIN && !o->gathering)
		AX_TRY(op_sum(c, o, e));
	return op_finish(c, o, e);
}

static int mpi_progress(struct ax_comm *c, struct ax_err *e)
{
	for (struct op *o = impl(c)->first; o; o = o->next)
		if (!o->done)
			AX_TRY(op_move(c, o, e));
	return 0;
}

static int mpi_test(struct ax_comm *c, struct ax_comm_req *r, bool *done, struct ax_err *e)
{
	struct op *o = r->impl, **at = &impl(c)->first;

	AX_TRY(mpi_progress(c, e));
	*done = o->done;
	if (!o->done)
		return 0;
	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	op_free(o);
	r->impl = NULL;
	return 0;
}

static void mpi_missing(struct ax_comm *c, const struct ax_comm_req *r, char *buf, size_t n)
{
	const struct op *o = r->impl;
	size_t len = 0;

	buf[0] = '\0';
	for (int k = 0; o && k < c->n_rank && len + 16 < n; k++)
		for (int i = o->n_send; i < o->n_req; i++)
			if (o->req[i] != MPI_REQUEST_NULL && o->peer[i] == k) {
				len += (size_t)snprintf(buf + len, n - len, "%srank %d", len ? ", " : "", k);
				break;
			}
}

/* ---- life ---- */

static int comm_new(MPI_Comm comm, bool world, struct ax_comm **out, struct ax_err *e);

static int mpi_split(struct ax_comm *c, int color, int key, struct ax_comm **out, struct ax_err *e)
{
	MPI_Comm sub;

	MPI_TRY(MPI_Comm_split(impl(c)->comm, color < 0 ? MPI_UNDEFINED : color, key, &sub), "split");
	return sub == MPI_COMM_NULL ? 0 : comm_new(sub, false, out, e);
}

static void mpi_close(struct ax_comm *c, bool failed)
{
	struct mpi *m = impl(c);
	struct op *next;

	for (struct op *o = m->first; !failed && o; o = next) {
		next = o->next;
		op_free(o);
	}
	if (!failed && m->world)
		MPI_Finalize();
	else if (!failed)
		MPI_Comm_free(&m->comm);
	for (int i = 0; i < N_SPARE; i++)
		ax_free(m->spare[i].p);
	ax_free(m);
	ax_free(c);
}

static const struct ax_comm_ops mpi_ops = {
	.all_gather = mpi_all_gather,
	.reduce_scatter = mpi_reduce_scatter,
	.all_reduce = mpi_all_reduce,
	.broadcast = mpi_broadcast,
	.progress = mpi_progress,
	.test = mpi_test,
	.split = mpi_split,
	.missing = mpi_missing,
	.close = mpi_close,
};

/* How many ranks share this host, and which of them this is. */
static int find_local(MPI_Comm comm, struct ax_comm *c, struct ax_err *e)
{
	MPI_Comm local;

	MPI_TRY(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local),
		"find the ranks of this host");
	MPI_TRY(MPI_Comm_rank(local, &c->local_rank), "rank");
	MPI_TRY(MPI_Comm_size(local, &c->n_local), "size");
	MPI_TRY(MPI_Comm_free(&local), "free");
	return 0;
}

static int comm_fill(struct ax_comm *c, MPI_Comm comm, struct ax_err *e)
{
	MPI_TRY(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "set the error handler");
	MPI_TRY(MPI_Comm_rank(comm, &c->rank), "rank");
	MPI_TRY(MPI_Comm_size(comm, &c->n_rank), "size");
	return find_local(comm, c, e);
}

static int comm_new(MPI_Comm comm, bool world, struct ax_comm **out, struct ax_err *e)
{
	struct ax_comm *c = ax_calloc(1, sizeof(*c));
	struct mpi *m = ax_calloc(1, sizeof(*m));
	int rc;

	if (!c || !m) {
		ax_free(c);
		ax_free(m);
		return ax_fail(e, AX_EMEM, "no memory for a communicator");
	}
	m->comm = comm;
	m->world = world;
	c->ops = &mpi_ops;
	c->name = "mpi";
	c->impl = m;
	if (gethostname(c->host, sizeof(c->host) - 1))
		strcpy(c->host, "localhost");
	rc = comm_fill(c, comm, e);
	if (rc) {
		ax_free(c);
		ax_free(m);
		return rc;
	}
	*out = c;
	return 0;
}

/*
 * Open MPI copies large messages straight out of the other process. Where a sandbox forbids that system call, it
 * complains on stderr at every message: then tell it beforehand.
 */
static void avoid_single_copy(void)
{
	char a = 0, b = 0;
	struct iovec to = {&a, 1}, from = {&b, 1};

	if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) != 1)
		setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 0);
}

static int mpi_open(struct ax_comm **out, struct ax_err *e)
{
	int got = 0, started = 0;
	MPI_Comm comm;

	MPI_TRY(MPI_Initialized(&started), "ask whether MPI is started");
	if (!started)
		avoid_single_copy();
	if (!started)
		MPI_TRY(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &got), "start MPI");
	MPI_TRY(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "set the error handler");
	MPI_TRY(MPI_Comm_dup(MPI_COMM_WORLD, &comm), "duplicate the world");
	return comm_new(comm, true, out, e);
}

__attribute__((visibility("default"))) extern const struct ax_comm_plugin ax_comm_plugin;
const struct ax_comm_plugin ax_comm_plugin = {AX_VERSION, AX_COMM_WALL, sizeof(struct ax_comm), mpi_open};

/* Internal to lib/dist: the state behind struct ax_dist. */
#ifndef AX_DIST_STATE_H
#define AX_DIST_STATE_H

#include "dist/dist.h"

/* Reductions in flight at a time: so many pieces of scratch the communicator needs. */
#define AX_DIST_IN_FLIGHT 3

/*
 * What a strategy does. Whatever is not sharded is whole on every rank; a sharded unit is cut into one slice a rank.
 */
struct strategy {
	const char *name;
	bool shard_state;   /* masters, moments and accumulated gradients: own slice only */
	bool shard_grad;    /* gradients are reduce-scattered from a buffer each micro-batch; else all-reduced once */
	bool shard_weights; /* weights are gathered into a buffer before use; else resident */
};

/* The row for these options; one rank has nobody to share with: DDP. */
const struct strategy *ax_dist_strategy(const struct ax_dist_opt *o, int n_rank);

/*
 * A buffer that holds one unit at a time. Unit 0 and the head, whose uses do not overlap, share one slot; the other
 * units take turns in two, so that one is used while the next arrives or the last leaves.
 */
struct slot {
	char *p;
	int unit;  /* -1: empty */
	int refs;  /* between acquire and release */
	bool kept; /* holds a gradient whose reduction has not been started */
	uint64_t last_used;
	struct ax_comm_req req; /* gather or reduction in flight; cleared by waiting only, so all ranks agree on it */
};

struct slots {
	struct slot *slot;
	int n_slot;
	bool each; /* slot i belongs to unit i */
	uint64_t clock;
	char *block;
};

struct unit_state {
	size_t slice;     /* elements of one slice */
	size_t first;     /* first element of the unit that this rank holds */
	size_t n;         /* elements that it holds: slice, or the whole unit */
	size_t state_off; /* where they lie in the blocks of state, in elements */
	uint64_t index;   /* logical index of the unit's first element: elements of the units before it */
	char gather_name[48], reduce_name[48];
	struct ax_comm_req reduce; /* the all-reduce of this step, where gradients are whole */
	bool reduced;              /* it has been started */
};

/* A contiguous range of one parameter that this rank holds. */
struct range {
	int param;
	size_t off, n;    /* row-major elements of the parameter */
	size_t state_off; /* in the blocks of state */
	uint64_t index;   /* logical index of the first element */
};

struct ax_dist {
	struct ax_comm *comm, *wire;
	struct ax_dev *dev;
	const struct ax_units *u;
	struct ax_dist_opt opt;
	const struct strategy *how;
	struct unit_state *unit;
	struct range *range;
	size_t n_range;
	struct ax_dist_box *box;
	size_t n_box;
	char *part[AX_N_PART]; /* the blocks of state; NULL: not kept */
	enum ax_dtype type[AX_N_PART];
	char *weights;          /* resident weights, laid out as the state; NULL: slots, or the masters serve */
	struct slots gather, grad;
	double *sums;      /* device: sum of squares of each range */
	double *host_sums; /* n_range, then n_param */
	float *stage;      /* host: AX_DIST_PIECE elements, and as many in the type that is stored */
	int flight[AX_DIST_IN_FLIGHT]; /* units whose whole gradient is being reduced, a ring; -1: none */
	unsigned n_started;            /* of those, since open */
	bool last_micro;
	struct ax_dist_stats stats;
};

/* Of the element at state_off. */
static inline void *ax_dist_at(const struct ax_dist *s, enum ax_part p, size_t state_off)
{
	return s->part[p] ? s->part[p] + ax_part_elems(p, state_off) * ax_dtype_size(s->type[p]) : NULL;
}

/* What gradients are on the wire. */
static inline enum ax_sum_type ax_dist_sum(const struct ax_dist_opt *o)
{
	return o->grads == AX_F32 ? AX_SUM_F32 : AX_SUM_BF16;
}

/* layout.c: pure. */
size_t ax_dist_held(const struct ax_units *u, const struct strategy *how, int unit, int n_rank);
/* Does every unit have a slot of its own, to keep what was gathered for it? */
bool ax_dist_slots_each(const struct ax_dist_opt *o, bool weights);
/* Elements of each of the n_slot slots (0 when elems is NULL: only count). Returns how many. */
int ax_dist_slots_shape(const struct ax_units *u, const struct ax_dist_opt *o, int n_rank, bool weights, size_t *elems);
/* The slots that a unit may use: [*first, *first + *n). */
void ax_dist_slots_of(const struct slots *s, const struct ax_units *u, int unit, int *first, int *n);
int ax_dist_layout(struct ax_dist *s, struct ax_err *e);

/* move.c */
int ax_dist_wait(struct ax_dist *s, struct ax_comm_req *r, struct ax_err *e);
/* Let what is in flight come to an end, at most limit_s; false: something is left, its buffers belong to it. */
bool ax_dist_settle(struct ax_dist *s, double limit_s);
int ax_dist_forget(struct ax_dist *s, struct ax_err *e); /* the masters have changed */
int ax_dist_reduce(struct ax_dist *s, int unit, struct ax_err *e);
int ax_dist_reduce_all(struct ax_dist *s, struct ax_err *e);

#endif

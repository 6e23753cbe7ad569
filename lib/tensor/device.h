/*
 * Which device computes: the CPU, or a GPU through the CUDA plugin (libax-cuda.so).
 *
 *	struct ax_dev_opt o = { .device = "auto", .act = AX_BF16, .n_thread = 8, .local_rank = comm->local_rank, ... };
 *	AX_TRY(ax_dev_open(&dev, &o, why, e));
 *	AX_TRY(ax_dev_wire(&dev, comm, &wire, e));     // collectives on the device's memory
 *	...
 *	if (wire != comm)
 *		ax_comm_close(wire);
 *	ax_dev_close(&dev);
 */
#ifndef AX_TENSOR_DEVICE_H
#define AX_TENSOR_DEVICE_H

#include "base/err.h"
#include "tensor/ops.h"

struct ax_dev_opt {
	const char *device;         /* "auto" (also NULL): a GPU where there is one, else the CPU; "cpu"; "cuda" */
	enum ax_dtype act;
	enum ax_dtype grad;         /* of gradients of weights: AX_F32, or AX_BF16 where act is that */
	int n_thread;               /* of the CPU device */
	int local_rank, n_local;    /* of this host: which of its GPUs is ours */
	bool deterministic;         /* on a GPU: no kernel whose result depends on timing */
	bool measure;               /* on a GPU: choose algorithms by the clock (one rank does; the others get its ax_dev.tuning) */
	const char *plugin_dir;     /* NULL: the program's own */
	bool follow;                /* with measure: compute with what was chosen only when ax_dev.tune says so, as the other ranks do */
	bool plan;                  /* only act, name, memory, pinned and ops->scratch_bytes are wanted: "cuda" needs no GPU then, and no plugin */
	size_t plan_memory;         /* with plan, where there is no GPU: the memory of the one that is meant; 0: 80 GiB (tensor/gpu.h) */
};

/*
 * "auto" without a plugin or without a GPU is the CPU; if a plugin is there but finds no GPU, why[] says so in a line for
 * the user (empty otherwise), and one that cannot be opened is warned of. "cuda" without one is AX_ECOMM.
 */
int ax_dev_open(struct ax_dev *d, const struct ax_dev_opt *o, char why[256], struct ax_err *e);
/* A device that was never opened (all zero) is allowed. */
void ax_dev_close(struct ax_dev *d);

struct ax_comm;

/*
 * A communicator of the same ranks as `host` whose collectives take this device's memory, ordered with its ops: what an
 * op enqueued before a start has written is what is sent, and ops enqueued after a wait see what arrived. For the CPU
 * that is `host` itself. Close it before `host` and d, which stay where they
 * are, unless it is `host`.
 */
int ax_dev_wire(struct ax_dev *d, struct ax_comm *host, struct ax_comm **wire, struct ax_err *e);

/* The wall between the program and libax-cuda.so, which exports a variable of this type and name. */
#define AX_DEV_PLUGIN_SYMBOL "ax_dev_plugin"

struct ax_dev_plugin {
	const char *version;         /* AX_VERSION of its build */
	uint32_t wall;               /* AX_DEV_WALL of its build: a checksum of this header and those it stands on */
	size_t dev_bytes, ops_bytes; /* sizeof(struct ax_dev), sizeof(struct ax_ops) of its build */
	/* Fills d. AX_ECOMM if there is no usable GPU: the message says what was tried. */
	int (*open)(struct ax_dev *d, const struct ax_dev_opt *o, struct ax_err *e);
};

#endif

/*
 * For tests of several ranks: the CUDA device of BUILD/sim (tests/cudasim), its memory and its wire. AX_TEST_DEVICE names
 * another build of it, as for the op tests.
 */
#ifndef TESTS_DIST_SIM_DEV_H
#define TESTS_DIST_SIM_DEV_H

#include "ranks.h"
#include "tensor/device.h"

static inline const char *sim_dir(void)
{
	static char dir[4300];
	const char *lib = plugin_dir(), *build = getenv("AX_TEST_DEVICE");

	/* BUILD/lib/ax -> BUILD/sim/lib/ax */
	snprintf(dir, sizeof(dir), "%.*s/%.20s/lib/ax", (int)(strlen(lib) - strlen("/lib/ax")), lib, build ? build : "sim");
	return dir;
}

static inline bool has_sim(void)
{
	char file[4400];

	snprintf(file, sizeof(file), "%s/libax-cuda.so", sim_dir());
	return !access(file, R_OK);
}

/* d stays where it is: the wire points to it. */
static inline void sim_open(struct ax_dev *d, struct ax_comm *c, enum ax_dtype act, struct ax_comm **wire)
{
	struct ax_dev_opt o = {.device = "cuda", .act = act, .local_rank = c->local_rank, .n_local = c->n_local,
			       .deterministic = true, .plugin_dir = sim_dir()};
	char why[256];

	RUN(ax_dev_open(d, &o, why, e));
	RUN(ax_dev_wire(d, c, wire, e));
}

static inline void sim_close(struct ax_dev *d, struct ax_comm *wire)
{
	RUN(d->ops->sync(d, e));
	ax_comm_close(wire);
	ax_dev_close(d);
}

#endif

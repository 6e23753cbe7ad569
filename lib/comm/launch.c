/* Which launcher started this process, and the plugin that speaks to it. */
#include "comm/plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/plugin.h"
#include "comm/watchdog.h"

/* A positive number in an environment variable, or 0. */
static int env_count(const char *name)
{
	const char *s = getenv(name);
	char *end;
	long v;

	if (!s || !*s)
		return 0;
	v = strtol(s, &end, 10);
	return *end == '\0' && v > 0 && v <= 1 << 24 ? (int)v : 0;
}

/*
 * An MPI launcher's own word comes first: mpirun -n 2 inside an allocation of 8 tasks starts 2. SLURM's counts are
 * those of the step, else of the job (set in a batch script, where forgetting srun is the usual mistake).
 */
void ax_launch_detect(struct ax_launch *l)
{
	static const char *const count[] = {"OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "PMI_SIZE"};
	static const char *const slurm[] = {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"};
	static const char *const wire[] = {"PMI_RANK", "PMI_FD", "PMI_SIZE", "PMI2_FD", "PMIX_RANK", "PMIX_NAMESPACE"};
	bool wired = false;

	memset(l, 0, sizeof(*l));
	for (size_t i = 0; i < sizeof(count) / sizeof(*count); i++)
		if ((l->n_task = env_count(count[i])) > 0) {
			l->variable = count[i];
			return;
		}
	for (size_t i = 0; i < sizeof(wire) / sizeof(*wire); i++)
		wired = wired || getenv(wire[i]);
	for (size_t i = 0; i < sizeof(slurm) / sizeof(*slurm); i++)
		if ((l->n_task = env_count(slurm[i])) > 0) {
			l->variable = slurm[i];
			l->unwired = !wired;
			return;
		}
	if (getenv("PMIX_RANK")) {
		l->n_task = -1;
		l->variable = "PMIX_RANK";
	}
}

static int plugin_open(struct ax_comm **c, const char *dir, const struct ax_launch *l, struct ax_err *e)
{
	const struct ax_comm_plugin *p;
	struct ax_plugin so;
	struct ax_err no = {0};
	int rc;

	/* Global: MPI libraries open components of their own that expect to find the library's symbols. */
	rc = ax_plugin_open(&so, dir, "libax-mpi.so", AX_COMM_PLUGIN_SYMBOL, true, &no);
	if (rc == AX_EUSAGE)
		return ax_fail(e, rc, "%s", no.msg);
	if (rc)
		return ax_fail(
		    e, AX_ECOMM,
		    "started as one of several tasks (%s=%s), but the MPI plugin cannot be opened: %s; build "
		    "with MPI=1, or pass --standalone to run this process alone",
		    l->variable, getenv(l->variable), no.msg);
	p = so.symbol;
	if (strcmp(p->version, AX_VERSION) || p->wall != AX_COMM_WALL || p->comm_bytes != sizeof(struct ax_comm))
		return ax_fail(e, AX_ECOMM, "%s belongs to version %s/%08x, this is %s/%08x: install both from one build",
			       so.path, p->version, p->wall, AX_VERSION, AX_COMM_WALL);
	return p->open(c, e); /* the plugin stays open: MPI cannot be started twice in a process */
}

/* The world that the launcher promised, or the reason why it is not there. */
static int world_check(const struct ax_comm *c, const struct ax_launch *l, struct ax_err *e)
{
	if (l->n_task <= c->n_rank)
		return 0;
	return ax_fail(e, AX_ECOMM,
		       "the launcher announces %d tasks (%s), but the MPI world has %d: launch with `srun --mpi=pmix`, "
		       "or with the mpirun "
		       "of the MPI that ax was built with; --standalone runs each process alone",
		       l->n_task, l->variable, c->n_rank);
}

int ax_comm_open(struct ax_comm **out, const struct ax_comm_open_opt *o, struct ax_err *e)
{
	struct ax_launch l;
	struct ax_comm *c;
	int rc;

	*out = NULL;
	ax_launch_detect(&l);
	if (o->standalone || l.n_task == 0 || l.n_task == 1)
		return ax_comm_open_self(out, e);
	if (l.unwired)
		return ax_fail(
		    e, AX_ECOMM,
		    "the launcher announces %d tasks (%s), but gives them no way to find each other: launch with `srun "
		    "--mpi=pmix` (or mpirun), or pass --standalone to run this process alone",
		    l.n_task, l.variable);
	AX_TRY(plugin_open(&c, o->plugin_dir, &l, e));
	c->timeout_s = o->timeout_s;
	rc = world_check(c, &l, e);
	if (rc) {
		c->ops->close(c, false);
		return rc;
	}
	if (c->n_rank > 1 && !o->no_watchdog) {
		rc = ax_watchdog_open(&c->watchdog, c, o->silent_s, o->hang_s, e);
		if (rc) {
			c->ops->close(c, true);
			return rc;
		}
	}
	*out = c;
	return 0;
}

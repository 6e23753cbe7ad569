/* How many threads a rank may use without stepping on the ranks beside it. */
#define _GNU_SOURCE
#include "dist/dist.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* What each rank tells the others: where it runs, where it may run, where it could run if nobody had bound it. */
struct place {
	char host[64];
	cpu_set_t bound, host_cores;
};

/*
 * The kernel cuts an affinity mask to the cores that the control group allows: ask for all, look, go back. Where that
 * is forbidden the present mask stands for the host.
 */
static void find_place(struct place *p, const char *host)
{
	cpu_set_t all;

	memset(p, 0, sizeof(*p));
	snprintf(p->host, sizeof(p->host), "%s", host);
	if (sched_getaffinity(0, sizeof(p->bound), &p->bound))
		CPU_SET(0, &p->bound);
	p->host_cores = p->bound;
	memset(&all, 0xff, sizeof(all));
	if (sched_setaffinity(0, sizeof(all), &all))
		return;
	sched_getaffinity(0, sizeof(p->host_cores), &p->host_cores);
	sched_setaffinity(0, sizeof(p->bound), &p->bound);
}

/* Cores of `me`, each shared evenly by the ranks of the host that may run there; and how many ranks the host has. */
static double share_of(const struct place *all, int n, const struct place *me, int *n_local)
{
	double share = 0;
	int users;

	*n_local = 0;
	for (int k = 0; k < n; k++)
		*n_local += strcmp(all[k].host, me->host) == 0;
	for (size_t core = 0; core < CPU_SETSIZE; core++) {
		if (!CPU_ISSET(core, &me->bound))
			continue;
		users = 0;
		for (int k = 0; k < n; k++)
			users += strcmp(all[k].host, me->host) == 0 && CPU_ISSET(core, &all[k].bound);
		share += 1.0 / users;
	}
	return share;
}

int ax_dist_threads(struct ax_comm *c, int wanted, int *n_thread, char warning[256], struct ax_err *e)
{
	struct place mine, *all;
	struct ax_comm_req r;
	int rc, n_local, cores;
	double share;

	warning[0] = '\0';
	find_place(&mine, c->host);
	all = ax_calloc((size_t)c->n_rank, sizeof(*all));
	if (!all)
		return ax_fail(e, AX_EMEM, "no memory for %d ranks", c->n_rank);
	c->what = "count cores";
	rc = ax_comm_all_gather(c, all, &mine, sizeof(mine), &r, e);
	if (!rc)
		rc = ax_comm_wait(c, &r, e);
	if (!rc) {
		share = share_of(all, c->n_rank, &mine, &n_local) + 1e-6;
		cores = CPU_COUNT(&mine.host_cores);
		*n_thread = wanted > 0 ? wanted : share < 1 ? 1 : (int)share;
		if (wanted <= 0 && n_local > 1 && (int)share < cores / n_local)
			snprintf(warning, 256,
				 "the launcher binds this rank to %d of %d cores; its share would be %d: start with "
				 "mpirun --bind-to none (srun --cpu-bind=none)",
				 CPU_COUNT(&mine.bound), cores, cores / n_local);
	}
	ax_free(all);
	return rc;
}

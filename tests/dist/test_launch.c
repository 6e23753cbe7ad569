/* Launcher checks: a launch that cannot work stops at once, and says how to launch. Threads a rank. */
#include "ranks.h"

#include <sched.h>

#include "dist/dist.h"

static const char *const variables[] = {
    "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE",  "PMI_SIZE",    "PMI_RANK", "PMI_FD", "PMI2_FD", "PMIX_RANK",
    "PMIX_NAMESPACE",       "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"};

static int open_with(const char *a, const char *av, const char *b, const char *bv, bool standalone, const char *dir,
		     struct ax_err *e)
{
	struct ax_comm_open_opt o = {.plugin_dir = dir, .standalone = standalone};
	struct ax_comm *c = NULL;
	int rc;

	for (size_t i = 0; i < sizeof(variables) / sizeof(*variables); i++)
		unsetenv(variables[i]);
	if (a)
		setenv(a, av, 1);
	if (b)
		setenv(b, bv, 1);
	memset(e, 0, sizeof(*e));
	rc = ax_comm_open(&c, &o, e);
	if (!rc)
		rc = c->n_rank == 1 ? 0 : -100;
	ax_comm_close(c);
	return rc;
}

static int world_of_one(void)
{
	struct ax_err e;
	int rc;

	/* As a process that a launcher of another MPI has started: MPI starts, alone. */
	rc = open_with("OMPI_COMM_WORLD_SIZE", "4", NULL, NULL, false, plugin_dir(), &e);
	fprintf(stderr, "%s\n", e.msg);
	return rc == AX_ECOMM && strstr(e.msg, "announces 4 tasks") && strstr(e.msg, "srun --mpi=pmix") ? 0 : 1;
}

/* Cores that this process could have: `mine` and those that a mask keeps from it. */
static int host_cores(const cpu_set_t *mine)
{
	cpu_set_t all;

	memset(&all, 0xff, sizeof(all));
	if (sched_setaffinity(0, sizeof(all), &all))
		return CPU_COUNT(mine);
	sched_getaffinity(0, sizeof(all), &all);
	sched_setaffinity(0, sizeof(*mine), mine);
	return CPU_COUNT(&all);
}

static int threads(bool bound)
{
	struct ax_comm *c = world(0, 0);
	char warning[256];
	cpu_set_t all, one;
	int n = 0, cores, host;
	bool far;

	CHECK(!sched_getaffinity(0, sizeof(all), &all));
	cores = CPU_COUNT(&all);
	host = host_cores(&all);
	far = c->n_rank > 1 && cores / c->n_rank < host / c->n_rank; /* the tests themselves may run under taskset */
	RUN(ax_dist_threads(c, 7, &n, warning, e));
	CHECK(n == 7 && !warning[0]);
	RUN(ax_dist_threads(c, 0, &n, warning, e));
	CHECK(n == (cores / c->n_rank > 1 ? cores / c->n_rank : 1) && far == (warning[0] != 0));
	if (bound) { /* as mpirun --bind-to core would: each rank on one core */
		CPU_ZERO(&one);
		for (size_t k = 0, seen = 0; k < CPU_SETSIZE; k++)
			if (CPU_ISSET(k, &all) && seen++ == (size_t)(c->rank % cores))
				CPU_SET(k, &one);
		CHECK(!sched_setaffinity(0, sizeof(one), &one));
		RUN(ax_dist_threads(c, 0, &n, warning, e));
		CHECK(n == 1);
		/* a core for each, or less where they share */
		CHECK((host / c->n_rank > (cores >= c->n_rank)) == (strstr(warning, "--bind-to none") != NULL));
		CHECK(!sched_getaffinity(0, sizeof(all), &all) && CPU_COUNT(&all) == 1);
	}
	ax_comm_close(c);
	return 0;
}

int main(int argc, char **argv)
{
	struct ax_err e;

	if (argc > 1)
		return !strcmp(argv[1], "one") ? world_of_one() : threads(!strcmp(argv[1], "bound"));
	ok(!open_with(NULL, NULL, NULL, NULL, false, "/nowhere", &e), "no launcher: one rank, no plugin needed");
	ok(!open_with("OMPI_COMM_WORLD_SIZE", "1", NULL, NULL, false, "/nowhere", &e), "mpirun -n 1: one rank");
	ok(open_with("SLURM_NTASKS", "4", NULL, NULL, false, "/nowhere", &e) == AX_ECOMM &&
	       strstr(e.msg, "srun --mpi=pmix") && strstr(e.msg, "--standalone"),
	   "srun without --mpi: refused with the remedy");
	ok(open_with("SLURM_NTASKS", "8", "SLURM_STEP_NUM_TASKS", "3", false, "/nowhere", &e) == AX_ECOMM &&
		   strstr(e.msg, "announces 3 tasks"),
	   "the step's count beats the job's");
	ok(!open_with("SLURM_NTASKS", "4", NULL, NULL, true, "/nowhere", &e), "--standalone: one rank");
	ok(!open_with("SLURM_NTASKS", "8", "OMPI_COMM_WORLD_SIZE", "1", false, "/nowhere", &e),
	   "mpirun -n 1 inside an allocation of 8: one rank");
	ok(open_with("OMPI_COMM_WORLD_SIZE", "2", NULL, NULL, false, "/nowhere", &e) == AX_ECOMM &&
	       strstr(e.msg, "MPI=1"),
	   "missing plugin: refused with the reason");
	ok(open_with("PMI_SIZE", "2", NULL, NULL, false, "lib/ax", &e) == AX_EUSAGE,
	   "a relative plugin folder is refused");
	for (size_t i = 0; i < sizeof(variables) / sizeof(*variables); i++)
		unsetenv(variables[i]);
	threads(false);
	ok(true, "threads of one rank");
	RANKS_OR_SKIP("a world of one");
	unsetenv("OMPI_COMM_WORLD_SIZE");
	{
		char exe[4096], cmd[4200];
		ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

		exe[n > 0 ? n : 0] = '\0';
		snprintf(
		    cmd, sizeof(cmd),
		    "ASAN_OPTIONS=detect_leaks=0 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 '%s' one",
		    exe);
		ok(system(cmd) == 0, "a world smaller than announced: refused with the way to launch");
	}
	ok(ranks_run(2, "bound"), "threads and the warning of two bound ranks");
	return test_failed != 0;
}

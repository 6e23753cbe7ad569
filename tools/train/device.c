/* Which device each rank computes on: one kind for all of them, and the communicator for its memory. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "tool.h"

/* What each rank tells the others. */
struct kind {
	char host[64], name[192];
	bool gpu;
};

/* "auto" may find a GPU here and none there; half a job on CPUs is nobody's wish. */
static int same_kind(const struct kind *k, int n, struct ax_err *e)
{
	int gpu = 0, cpu = 0;

	while (gpu < n && !k[gpu].gpu)
		gpu++;
	while (cpu < n && k[cpu].gpu)
		cpu++;
	if (gpu == n || cpu == n)
		return 0;
	return ax_fail(e, AX_ECOMM,
		       "rank %d (%s) has a GPU, %s; rank %d (%s) has none and would use %s: start on hosts that are alike, or with --device cpu",
		       gpu, k[gpu].host, k[gpu].name, cpu, k[cpu].host, k[cpu].name);
}

static int agree(struct tool *t, struct ax_err *e)
{
	struct kind mine = {.gpu = t->dev.wire != NULL}, *all;
	struct ax_comm_req r;
	int rc;

	snprintf(mine.host, sizeof(mine.host), "%s", t->comm->host);
	snprintf(mine.name, sizeof(mine.name), "%s", t->dev.name);
	all = ax_calloc((size_t)t->comm->n_rank, sizeof(*all));
	if (!all)
		return ax_fail(e, AX_EMEM, "out of memory");
	t->comm->what = "compare devices";
	rc = ax_comm_all_gather(t->comm, all, &mine, sizeof(mine), &r, e);
	if (!rc)
		rc = ax_comm_wait(t->comm, &r, e);
	if (!rc)
		rc = same_kind(all, t->comm->n_rank, e);
	ax_free(all);
	return rc;
}

int tool_device(struct tool *t, struct ax_err *e)
{
	struct ax_dev_opt o = {.device = ax_conf_opt_str(&t->conf, "device"), .local_rank = t->comm->local_rank, .n_local = t->comm->n_local,
			       .deterministic = ax_conf_opt_flag(&t->conf, "deterministic"), .measure = t->comm->rank == 0, .follow = t->comm->n_rank > 1,
			       .plan = ax_conf_opt_flag(&t->conf, "plan"), .plan_memory = ax_conf_opt_size(&t->conf, "device-memory", 0)};
	char warning[256], why[256];

	AX_TRY(tool_dtype(t, &o.act, &o.grad, e));
	AX_TRY(ax_dist_threads(t->comm, (int)ax_conf_opt_int(&t->conf, "threads", 0), &o.n_thread, warning, e));
	if (warning[0])
		ax_warn("%s", warning);
	t->comm->what = "open the device";
	AX_TRY(ax_comm_agree(t->comm, ax_dev_open(&t->dev, &o, why, e), e));
	if (why[0])
		ax_info("%s", why);
	AX_TRY(agree(t, e));
	if (t->weights_open)
		AX_TRY(ax_weights_threads(&t->weights, o.n_thread, e));
	if (o.plan) {
		t->wire = t->comm;
		return 0;
	}
	return ax_dev_wire(&t->dev, t->comm, &t->wire, e);
}

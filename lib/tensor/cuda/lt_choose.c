/*
 * Which algorithm serves a matrix product: the table, the cache on disk, the library's proposals, the clock.
 *
 * The cache is $XDG_CACHE_HOME/ax/tuning-HASH.txt (or below ~/.cache), HASH that of the machine's name; whatever is wrong
 * with it is no error: then algorithms are measured again.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "tensor/cuda/lt.h"

#define MOST_PROPOSALS 16
#define ROUND_US 2000.0 /* how long one algorithm is measured, about */

_Static_assert(sizeof(cublasLtMatmulAlgo_t) == AX_TUNING_ALGO_WORDS * sizeof(uint64_t), "the table keeps whole algorithms");

/* --- proposals ------------------------------------------------------------------------------------------------------ */

bool ax_lt_fits(struct ax_cuda *c, const struct ax_lt_plan *p, const cublasLtMatmulAlgo_t *algo)
{
	cublasLtMatmulHeuristicResult_t r;

	memset(&r, 0, sizeof(r));
	return cublasLtMatmulAlgoCheck(c->lt->handle, p->desc, p->a, p->b, p->out, p->out, algo, &r) == CUBLAS_STATUS_SUCCESS && r.state == CUBLAS_STATUS_SUCCESS &&
	       r.workspaceSize <= c->lt->workspace_bytes;
}

static cublasStatus_t set_preferences(struct ax_cuda *c, const struct ax_tuning_key *k, cublasLtMatmulPreference_t pref)
{
	/* cuBLAS's A is our B */
	const uint32_t align[4] = { k->align[1], k->align[0], k->align[2], k->align[2] };
	const cublasLtMatmulPreferenceAttributes_t attr[4] = { CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
							       CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES };
	/* partial sums in f32, in the workspace, added in order: neither in place, as they finish, nor in bf16 */
	const uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
	const uint64_t bytes = c->lt->workspace_bytes;
	cublasStatus_t rc = cublasLtMatmulPreferenceSetAttribute(pref, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes, sizeof(bytes));

	if (!rc)
		rc = cublasLtMatmulPreferenceSetAttribute(pref, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions, sizeof(reductions));
	for (int i = 0; !rc && i < 4; i++)
		rc = cublasLtMatmulPreferenceSetAttribute(pref, attr[i], &align[i], sizeof(align[i]));
	return rc;
}

static cublasStatus_t propose(struct ax_cuda *c, const struct ax_lt_plan *p, cublasLtMatmulHeuristicResult_t *r, int wanted, int *n)
{
	cublasLtMatmulPreference_t pref;
	cublasStatus_t rc = cublasLtMatmulPreferenceCreate(&pref);

	*n = 0;
	if (rc)
		return rc;
	rc = set_preferences(c, &p->key, pref);
	if (!rc)
		rc = cublasLtMatmulAlgoGetHeuristic(c->lt->handle, p->desc, p->a, p->b, p->out, p->out, pref, wanted, r, n);
	cublasLtMatmulPreferenceDestroy(pref);
	return rc ? rc : *n > 0 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

/* --- measuring ------------------------------------------------------------------------------------------------------ */

struct stopwatch {
	cudaEvent_t from, to;
};

/* Microseconds of one run, from n in a row; negative if it does not run. */
static double time_runs(struct ax_cuda *c, const struct ax_lt_plan *p, const cublasLtMatmulAlgo_t *algo, const struct ax_lt_args *x, const struct stopwatch *w, int n)
{
	float ms = -1;

	if (cudaEventRecord(w->from, c->compute) != cudaSuccess)
		return -1;
	for (int i = 0; i < n; i++)
		if (ax_lt_run(c, p, algo, x))
			return -1;
	if (cudaEventRecord(w->to, c->compute) != cudaSuccess || cudaEventSynchronize(w->to) != cudaSuccess ||
	    cudaEventElapsedTime(&ms, w->from, w->to) != cudaSuccess)
		return -1;
	return (double)ms * 1000 / n;
}

/* The shortest of two rounds. Before anything is timed it runs once: a kernel's code is loaded when it is first launched. */
static double time_algo(struct ax_cuda *c, const struct ax_lt_plan *p, const cublasLtMatmulAlgo_t *algo, const struct ax_lt_args *x, const struct stopwatch *w, double best)
{
	double us = ax_lt_run(c, p, algo, x) ? -1 : time_runs(c, p, algo, x, w, 1), round[2];
	int n;

	if (us < 0 || (best > 0 && us > 4 * best))
		return us;
	n = us * 20 < ROUND_US ? 20 : us >= ROUND_US ? 1 : (int)(ROUND_US / us);
	for (int i = 0; i < 2; i++)
		round[i] = time_runs(c, p, algo, x, w, n);
	return round[0] < round[1] ? round[0] : round[1];
}

/* The index of the fastest; its time in *us. The first, unmeasured, where there is no memory for trying. */
static int fastest(struct ax_cuda *c, const struct ax_lt_plan *p, const cublasLtMatmulHeuristicResult_t *r, int n, const struct ax_lt_args *args, double *us)
{
	const struct ax_tuning_key *k = &p->key;
	size_t bytes = ((size_t)(k->m - 1) * k->ld[2] + (size_t)k->n) * (k->out_bf16 ? 2 : 4);
	struct stopwatch w = { NULL, NULL };
	struct ax_lt_args x = *args;
	void *spare = NULL;
	int best = 0;

	*us = 0;
	if (k->accumulate) { /* what is there must be added to once */
		if (cudaMalloc(&spare, bytes) != cudaSuccess) {
			cudaGetLastError();
			return 0;
		}
		ax_cuda_failed(c, "tuning", cudaMemsetAsync(spare, 0, bytes, c->compute));
		x.out = spare;
	}
	if (!ax_cuda_failed(c, "tuning", cudaEventCreateWithFlags(&w.from, cudaEventDefault)) &&
	    !ax_cuda_failed(c, "tuning", cudaEventCreateWithFlags(&w.to, cudaEventDefault)))
		for (int i = 0; i < n; i++) {
			double t = r[i].state == CUBLAS_STATUS_SUCCESS ? time_algo(c, p, &r[i].algo, &x, &w, *us) : -1;

			if (t > 0 && (*us == 0 || t < *us)) {
				*us = t;
				best = i;
			}
		}
	if (w.from)
		cudaEventDestroy(w.from);
	if (w.to)
		cudaEventDestroy(w.to);
	if (spare) {
		ax_cuda_failed(c, "tuning", cudaStreamSynchronize(c->compute));
		cudaFree(spare);
	}
	return best;
}

cublasStatus_t ax_lt_choose(struct ax_cuda *c, struct ax_lt_plan *p, const struct ax_lt_args *x)
{
	cublasLtMatmulHeuristicResult_t r[MOST_PROPOSALS];
	const struct ax_tuning_row *known = ax_tuning_find(&c->lt->table, &p->key);
	bool measure = c->lt->measure && !c->recording;
	struct ax_tuning_row row;
	cublasStatus_t rc;
	int n, best = 0;

	if (known && (known->us > 0 || !measure)) {
		memcpy(&p->algo, known->algo, sizeof(p->algo));
		if (ax_lt_fits(c, p, &p->algo))
			return CUBLAS_STATUS_SUCCESS;
	}
	memset(r, 0, sizeof(r));
	memset(&row, 0, sizeof(row));
	rc = propose(c, p, r, measure ? MOST_PROPOSALS : 1, &n);
	if (rc)
		return rc;
	if (measure)
		best = fastest(c, p, r, n, x, &row.us);
	p->algo = r[c->lt->follow ? 0 : best].algo;
	row.key = p->key;
	memcpy(row.algo, &r[best].algo, sizeof(row.algo));
	ax_tuning_put(&c->lt->table, &row, NULL); /* a full table only costs the next run its time */
	c->lt->news |= row.us > 0;
	return CUBLAS_STATUS_SUCCESS;
}

/* --- the table as text ---------------------------------------------------------------------------------------------- */

/* Rows of the same machine join the table; is it the same? */
static bool merge(struct ax_tuning *to, const struct ax_tuning *from, bool replace)
{
	if (strcmp(to->machine, from->machine) != 0)
		return false;
	for (size_t i = 0; i < from->n; i++)
		if (replace || !ax_tuning_find(to, &from->row[i].key))
			ax_tuning_put(to, &from->row[i], NULL);
	return true;
}

size_t ax_lt_tuning(struct ax_dev *d, char *text, size_t n)
{
	struct ax_cuda *c = ax_cuda_of(d);
	struct ax_buf b = AX_BUF_INIT;
	size_t bytes;

	ax_lt_save(c);
	ax_tuning_write(&c->lt->table, &b);
	bytes = b.oom ? 0 : b.n;
	if (bytes && bytes <= n)
		memcpy(text, b.p, bytes);
	ax_buf_release(&b);
	return bytes;
}

/* Plans whose algorithm the table now sees otherwise. */
static void follow_table(struct ax_cuda *c)
{
	bool changed = false;

	for (size_t i = 0; i < c->lt->n_plan; i++) {
		struct ax_lt_plan *p = &c->lt->plan[i];
		const struct ax_tuning_row *r = ax_tuning_find(&c->lt->table, &p->key);
		cublasLtMatmulAlgo_t algo;

		if (!r || !memcmp(r->algo, &p->algo, sizeof(p->algo)))
			continue;
		memcpy(&algo, r->algo, sizeof(algo));
		if (!ax_lt_fits(c, p, &algo))
			continue;
		p->algo = algo;
		p->none = false;
		changed = true;
	}
	if (changed)
		ax_cuda_record_forget(c);
}

int ax_lt_tune(struct ax_dev *d, const char *text, size_t n, struct ax_err *e)
{
	struct ax_cuda *c = ax_cuda_of(d);
	struct ax_tuning t;
	int rc;

	memset(&t, 0, sizeof(t));
	rc = ax_tuning_read(&t, text, n, e);
	if (rc)
		ax_err_prefix(e, "tuning of matrix products: ");
	else if (merge(&c->lt->table, &t, true))
		follow_table(c);
	ax_tuning_release(&t);
	return rc;
}

/* --- the cache ------------------------------------------------------------------------------------------------------ */

/* The folder (ax_free), or NULL. */
static char *cache_dir(void)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char path[4096];

	if (xdg && xdg[0] == '/')
		snprintf(path, sizeof(path), "%s/ax", xdg);
	else if (home && home[0] == '/')
		snprintf(path, sizeof(path), "%s/.cache/ax", home);
	else
		return NULL;
	return ax_strdup(path);
}

static char *cache_file(const char *dir, const char *machine)
{
	char name[64];

	snprintf(name, sizeof(name), "tuning-%016" PRIx64 ".txt", ax_hash64(machine, strlen(machine)));
	return dir ? ax_path_join(dir, name) : NULL;
}

static void read_cache(const char *path, struct ax_tuning *into)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_err no = { 0 };
	struct ax_tuning t;

	memset(&t, 0, sizeof(t));
	if (path && ax_path_exists(path)) {
		if (ax_read_file(path, AX_TUNING_BYTES_MAX, &b, &no) || ax_tuning_read(&t, b.p, b.n, &no))
			ax_warn("%s is ignored: %s", path, no.msg);
		else if (!merge(into, &t, false))
			ax_warn("%s is ignored: it is of another machine (%s)", path, t.machine);
	}
	ax_tuning_release(&t);
	ax_buf_release(&b);
}

void ax_lt_load(struct ax_cuda *c, const char *gpu)
{
	struct ax_tuning *t = &c->lt->table;
	char *dir, *path;

	snprintf(t->machine, sizeof(t->machine), "%.120s, sm_%d, %d multiprocessors, cuBLASLt %zu, workspace %zu", gpu, c->sm, c->n_sm, cublasLtGetVersion(),
		 AX_GPU_WORKSPACE);
	if (!c->lt->measure)
		return;
	dir = cache_dir();
	path = cache_file(dir, t->machine);
	read_cache(path, t);
	ax_free(path);
	ax_free(dir);
}

void ax_lt_save(struct ax_cuda *c)
{
	struct ax_buf b = AX_BUF_INIT;
	char *dir, *path;

	if (!c->lt->news || !c->lt->measure)
		return;
	c->lt->news = false;
	dir = cache_dir();
	path = cache_file(dir, c->lt->table.machine);
	read_cache(path, &c->lt->table); /* what another run has found out meanwhile */
	ax_tuning_write(&c->lt->table, &b);
	if (path && !b.oom && !ax_mkdirs(dir, NULL))
		ax_write_file(path, b.p, b.n, NULL);
	ax_buf_release(&b);
	ax_free(path);
	ax_free(dir);
}

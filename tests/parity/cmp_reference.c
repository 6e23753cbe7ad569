/*
 * The oracle's side of tests/parity/tiny.sh: a reference.safetensors with documents, losses and weights that PyTorch gave.
 *	cmp_reference rows REFERENCE               its documents as already tokenised rows, one JSON object a line
 *	cmp_reference check REFERENCE METRICS MERGED TOLERANCE
 *		losses and gradient norms of the steps, and every final weight (relative norm of the difference)
 *	cmp_reference losses METRICS METRICS TOLERANCE
 *		the same losses at every step of two runs
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fmt/safetensors.h"
#include "text/json.h"

static int die(const char *what, const struct ax_err *e)
{
	fprintf(stderr, "cmp_reference: %s%s%s\n", what, e ? ": " : "", e ? e->msg : "");
	return 1;
}

static int rows(const char *path)
{
	struct ax_st_file f;
	struct ax_err e = {0};

	if (ax_st_open(&f, path, &e))
		return die("open", &e);
	for (int k = 0;; k++) {
		char name[32];
		const struct ax_st_tensor *d, *t;

		snprintf(name, sizeof(name), "documents.%d", k);
		d = ax_st_find(&f, name);
		snprintf(name, sizeof(name), "trained.%d", k);
		t = ax_st_find(&f, name);
		if (!d || !t)
			break;
		printf("{\"input_ids\": [");
		for (uint64_t i = 0; i < ax_st_elems(d); i++)
			printf("%s%" PRIu64, i ? ", " : "", ax_get_u64((const char *)d->data + 8 * i));
		printf("], \"attention_mask\": [");
		for (uint64_t i = 0; i < ax_st_elems(d); i++)
			printf("%s1", i ? ", " : "");
		printf("], \"labels\": [");
		for (uint64_t i = 0; i < ax_st_elems(d); i++)
			printf("%s%" PRId64, i ? ", " : "",
			       ax_get_u64((const char *)t->data + 8 * i) ? (int64_t)ax_get_u64((const char *)d->data + 8 * i) : -100);
		printf("]}\n");
	}
	ax_st_close(&f);
	return 0;
}

/* field of the lines with step >= 1, in order; returns how many */
static int series(const char *path, const char *field, double *out, int max)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_arena a;
	struct ax_err e = {0};
	int n = 0;

	ax_arena_init(&a, 0);
	if (ax_read_file(path, 1 << 26, &b, &e)) {
		die("read", &e);
		return -1;
	}
	for (char *p = b.p, *end; (end = strchr(p, '\n')) && n < max; p = end + 1) {
		struct ax_val *v;

		if (ax_json_parse(&a, p, (size_t)(end - p), &v, &e)) {
			die(path, &e);
			return -1;
		}
		if (ax_val_int_or(ax_val_get(v, "step"), 0) >= 1)
			out[n++] = ax_val_num_or(ax_val_get(v, field), NAN);
	}
	ax_buf_release(&b);
	ax_arena_release(&a);
	return n;
}

static float f32(const struct ax_st_tensor *t, uint64_t i)
{
	float x;

	memcpy(&x, (const char *)t->data + 4 * i, 4);
	return x;
}

static double relative(const struct ax_st_tensor *x, const struct ax_st_tensor *ref)
{
	double d = 0, n = 0;

	if (x->dtype != AX_ST_F32 || ref->dtype != AX_ST_F32 || ax_st_elems(x) != ax_st_elems(ref))
		return INFINITY;
	for (uint64_t i = 0; i < ax_st_elems(x); i++) {
		double a = f32(x, i), b = f32(ref, i);

		d += (a - b) * (a - b);
		n += b * b;
	}
	return sqrt(d / (n > 0 ? n : 1));
}

static double worst_series(const struct ax_st_file *f, const char *tensor, const double *x, int n)
{
	const struct ax_st_tensor *t = ax_st_find(f, tensor);
	double worst = 0;

	if (!t || ax_st_elems(t) != (uint64_t)n)
		return INFINITY;
	for (int i = 0; i < n; i++) {
		double d = fabs(x[i] - f32(t, (uint64_t)i));

		worst = d > worst || isnan(d) ? (isnan(d) ? INFINITY : d) : worst;
	}
	return worst;
}

static int check(const char *ref, const char *metrics, const char *merged, double tol)
{
	double loss[64], norm[64], worst_loss, worst_norm, worst = 0;
	struct ax_st_file f;
	struct ax_st_model m;
	struct ax_err e = {0};
	size_t n_final = 0;
	int n;

	if (ax_st_open(&f, ref, &e) || ax_st_model_open(&m, merged, &e))
		return die("open", &e);
	n = series(metrics, "loss", loss, 64);
	if (series(metrics, "grad_norm", norm, 64) != n)
		return die("metrics", NULL);
	worst_loss = worst_series(&f, "step.loss", loss, n);
	worst_norm = worst_series(&f, "step.grad_norm", norm, n);
	for (size_t i = 0; i < f.n_tensor; i++) {
		const struct ax_st_entry *x;
		double d;

		if (strncmp(f.tensor[i].name, "final.", 6))
			continue;
		x = ax_st_model_find(&m, f.tensor[i].name + 6);
		d = x ? relative(x->t, &f.tensor[i]) : INFINITY;
		if (d > tol)
			fprintf(stderr, "%s: %g\n", f.tensor[i].name, d);
		worst = d > worst ? d : worst;
		n_final++;
	}
	fprintf(stderr, "%d steps: worst loss difference %.2g, worst gradient norm difference %.2g; %zu tensors: worst %.2g\n", n,
		worst_loss, worst_norm, n_final, worst);
	return n < 1 || n_final == 0 || n_final != m.n_entry || !(worst_loss <= tol) || !(worst_norm <= 10 * tol) || !(worst <= tol);
}

static int losses(const char *x, const char *y, double tol)
{
	static double a[4096], b[4096];
	int n = series(x, "loss", a, 4096), m = series(y, "loss", b, 4096);
	double worst = 0;

	for (int i = 0; i < n && i < m; i++)
		worst = fabs(a[i] - b[i]) > worst ? fabs(a[i] - b[i]) : worst;
	fprintf(stderr, "%d and %d steps: worst loss difference %.2g\n", n, m, worst);
	return n < 1 || n != m || !(worst <= tol);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "rows"))
		return rows(argv[2]);
	if (argc == 6 && !strcmp(argv[1], "check"))
		return check(argv[2], argv[3], argv[4], strtod(argv[5], NULL));
	if (argc == 5 && !strcmp(argv[1], "losses"))
		return losses(argv[2], argv[3], strtod(argv[4], NULL));
	return die("usage: rows|check|losses ...", NULL);
}

/* A GPU's choice of algorithms for matrix products: measured, kept in the cache, given to other devices as text. */
#include "base/io.h"
#include "op.h"

static char cache[4096];

static struct ax_dev open_gpu(bool measure)
{
	struct ax_dev_opt o = { .device = "cuda", .act = AX_BF16, .measure = measure };
	struct ax_dev d;
	struct ax_err e = { 0 };
	char dir[4096], why[256];

	plugin_dir(dir, sizeof(dir));
	o.plugin_dir = dir;
	if (ax_dev_open(&d, &o, why, &e))
		fail_msg("%s", e.msg);
	dev_reserve(&d, (struct ax_shape){ .N = 64, .C = 64, .O = 64 });
	return d;
}

/* dw of n tokens, 0 before. */
static double *dw_of(struct ax_dev *d, size_t n)
{
	struct tensor x, dy, dw;
	double *got;

	fill_count = 0;
	x = tensor_random(d, AX_BF16, n * 48, 1);
	dy = tensor_random(d, AX_BF16, n * 32, 1);
	dw = tensor_new(d, AX_F32, 32 * 48);
	memset(tensor_host(&dw), 0, dw.n * sizeof(float));
	d->ops->linear_dw(d, dp(&dw), dp(&dy), 32, dp(&x), 48, (int)n, 48, 32);
	got = tensor_doubles(&dw);
	tensor_free(&x);
	tensor_free(&dy);
	tensor_free(&dw);
	return got;
}

static char *text_of(struct ax_dev *d, size_t *n)
{
	char *text;

	*n = d->tuning(d, NULL, 0);
	assert_true(*n > 0);
	text = malloc(*n + 1);
	assert_int_equal(d->tuning(d, text, *n), *n);
	text[*n] = '\0';
	return text;
}

static int n_rows(const char *text)
{
	int n = 0;

	for (const char *p = text; (p = strchr(p, '\n')); p++)
		n++;
	return n - 3;
}

static bool skipped(void)
{
	return !RUNS(&variants[9], linear_dw);
}

/* A second device takes over what the first has measured, from its text, and computes the same bits. */
static void handed_over(void **state)
{
	struct ax_dev one, two;
	struct ax_err e = { 0 };
	char *text, *same;
	double *a, *b;
	size_t n, m;

	if (skipped())
		return;
	one = open_gpu(true);
	two = open_gpu(false);
	a = dw_of(&one, 60);
	text = text_of(&one, &n);
	assert_int_equal(n_rows(text), 1);
	free(dw_of(&two, 60)); /* has a plan of its own by now */
	assert_int_equal(two.tune(&two, text, n, &e), 0);
	b = dw_of(&two, 60);
	for (size_t i = 0; i < 32 * 48; i++)
		assert_true(a[i] == b[i]);
	same = text_of(&two, &m);
	assert_string_equal(same, text);
	text[n - 3] ^= 1;
	assert_int_equal(two.tune(&two, text, n, &e), AX_EDATA);
	assert_non_null(strstr(e.msg, "tuning of matrix products: line 4"));
	free(a);
	free(b);
	free(text);
	free(same);
	ax_dev_close(&one);
	ax_dev_close(&two);
}

/* Measuring does not add to the result more than once, and the cache saves the next run the work. */
static void cached(void **state)
{
	struct ax_dev d;
	double *once, *twice;
	char *text, *later;
	size_t n, m;

	if (skipped())
		return;
	d = open_gpu(false);
	once = dw_of(&d, 37);
	ax_dev_close(&d);
	d = open_gpu(true);
	twice = dw_of(&d, 37);
	for (size_t i = 0; i < 32 * 48; i++)
		if (!(fabs(once[i] - twice[i]) <= 1e-4))
			fail_msg("the product that is measured gives %g, not %g", twice[i], once[i]);
	text = text_of(&d, &n);
	ax_dev_close(&d);
	d = open_gpu(true);
	later = text_of(&d, &m);
	assert_string_equal(later, text); /* before anything has run */
	ax_dev_close(&d);
	free(later);
	assert_int_equal(ax_remove_tree(cache, NULL), 0);
	d = open_gpu(true);
	later = text_of(&d, &m);
	assert_int_equal(n_rows(later), 0);
	ax_dev_close(&d);
	free(once);
	free(twice);
	free(text);
	free(later);
}

static void damaged_cache(void **state)
{
	struct ax_dev d;
	char command[4300], *text;
	size_t n;

	if (skipped())
		return;
	d = open_gpu(true);
	free(dw_of(&d, 20));
	ax_dev_close(&d);
	snprintf(command, sizeof(command), "for f in '%s'/ax/tuning-*.txt; do echo x >\"$f\"; done", cache);
	assert_int_equal(system(command), 0);
	d = open_gpu(true);
	free(dw_of(&d, 20));
	text = text_of(&d, &n);
	assert_int_equal(n_rows(text), 1);
	ax_dev_close(&d);
	free(text);
}

static int make_cache(void **state)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(cache, sizeof(cache), "%s/ax-tuning-XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(cache) && !setenv("XDG_CACHE_HOME", cache, 1) ? 0 : -1;
}

static int remove_cache(void **state)
{
	close_devices(state);
	return ax_remove_tree(cache, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(handed_over), cmocka_unit_test(cached), cmocka_unit_test(damaged_cache) };

	return cmocka_run_group_tests_name("op: choice of algorithms", tests, make_cache, remove_cache);
}

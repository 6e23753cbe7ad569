/* A GPU's choice of algorithms for matrix products: measured, kept in the cache, given to other devices as text. */
#include "base/io.h"
#include "op.h"
#include "tensor/tuning.h"

static char cache[4096];

static struct ax_dev open_as(bool measure, bool follow)
{
	struct ax_dev_opt o = { .device = "cuda", .act = AX_BF16, .measure = measure, .follow = follow };
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

static struct ax_dev open_gpu(bool measure)
{
	return open_as(measure, false);
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

/* A table with another machine's name in the file of this one: nothing of it is taken. */
static void foreign_cache(void **state)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_err e = { 0 };
	struct ax_tuning t = { 0 };
	struct ax_dev d;
	char command[9000], path[4200], *text;
	size_t n;

	if (skipped())
		return;
	d = open_gpu(true);
	free(dw_of(&d, 24));
	text = text_of(&d, &n);
	ax_dev_close(&d);
	assert_int_equal(ax_tuning_read(&t, text, n, &e), 0);
	snprintf(t.machine, sizeof(t.machine), "another machine");
	ax_tuning_write(&t, &b);
	snprintf(path, sizeof(path), "%s/foreign", cache);
	assert_int_equal(ax_write_file(path, b.p, b.n, &e), 0);
	snprintf(command, sizeof(command), "for f in '%s'/ax/tuning-*.txt; do cp '%s' \"$f\"; done", cache, path);
	assert_int_equal(system(command), 0);
	free(text);
	d = open_gpu(true);
	text = text_of(&d, &n);
	assert_int_equal(n_rows(text), 0);
	ax_dev_close(&d);
	free(text);
	ax_tuning_release(&t);
	ax_buf_release(&b);
}

static const size_t some[] = { 20, 33, 48, 57, 64 };

/* Each product has the same bits on both; not_one: and on one of them other bits than `before`. */
static void same_bits(struct ax_dev *a, struct ax_dev *b, double **before, bool keep)
{
	bool other = false;

	for (size_t i = 0; i < sizeof(some) / sizeof(*some); i++) {
		double *x = dw_of(a, some[i]), *y = dw_of(b, some[i]);

		assert_memory_equal(x, y, 32 * 48 * sizeof(*x));
		other |= !keep && memcmp(x, before[i], 32 * 48 * sizeof(*x));
		free(y);
		if (keep)
			before[i] = x;
		else
			free(x);
	}
	if (!keep && strstr(a->name, "cudasim"))
		assert_true(other);
}

/* A device that follows computes as one that does not measure, until both are told: here to sum in four parts. */
static void follows(void **state)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_err e = { 0 };
	struct ax_tuning t = { 0 };
	struct ax_dev one, two;
	double *before[sizeof(some) / sizeof(*some)];
	char *text;
	size_t n;

	if (skipped())
		return;
	one = open_as(true, true);
	two = open_gpu(false);
	same_bits(&one, &two, before, true);
	text = text_of(&one, &n);
	assert_int_equal(ax_tuning_read(&t, text, n, &e), 0);
	for (size_t i = 0; i < t.n; i++) {
		assert_true(t.row[i].us > 0);
		if (strstr(one.name, "cudasim"))
			t.row[i].algo[1] = 2;
	}
	ax_tuning_write(&t, &b);
	assert_int_equal(one.tune(&one, b.p, b.n, &e), 0);
	assert_int_equal(two.tune(&two, b.p, b.n, &e), 0);
	same_bits(&one, &two, before, false);
	for (size_t i = 0; i < sizeof(some) / sizeof(*some); i++)
		free(before[i]);
	ax_dev_close(&one);
	ax_dev_close(&two);
	ax_tuning_release(&t);
	ax_buf_release(&b);
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
	/* in the simulator another algorithm than that proposed first is the fastest */
	setenv("CUDASIM_LT_FASTEST", "2", 1);
	const struct CMUnitTest tests[] = { cmocka_unit_test(handed_over), cmocka_unit_test(cached), cmocka_unit_test(damaged_cache), cmocka_unit_test(foreign_cache), cmocka_unit_test(follows) };

	return cmocka_run_group_tests_name("op: choice of algorithms", tests, make_cache, remove_cache);
}

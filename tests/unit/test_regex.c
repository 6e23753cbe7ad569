#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "text/json.h"
#include "text/regex.h"
#include "text/regex_class.h"

static struct ax_arena arena;
static struct ax_val *goldens;

static int setup(void **state)
{
	struct ax_err e;

	ax_arena_init(&arena, 0);
	return ax_json_file(&arena, "tests/golden/regex/cases.json", (size_t)1 << 22, &goldens, &e);
}

static int teardown(void **state)
{
	ax_arena_release(&arena);
	return 0;
}

/* The non-empty matches must be those listed. */
static bool equal(const struct ax_regex *r, struct ax_regex_work *w, const struct ax_val *text, const struct ax_val *want)
{
	struct ax_regex_iter it = {0, 0};
	size_t begin, end, n = 0;
	int rc;

	while ((rc = ax_regex_find(r, w, text->u.s, text->n, &it, &begin, &end)) > 0) {
		const struct ax_val *m = ax_val_at(want, n);

		if (begin == end)
			continue;
		if ((size_t)ax_val_int_or(ax_val_at(m, 0), -1) != begin || (size_t)ax_val_int_or(ax_val_at(m, 1), -1) != end)
			return false;
		n++;
	}
	return rc == 0 && n == ax_val_len(want);
}

static void test_matches(void **state)
{
	const struct ax_val *texts = ax_val_get(goldens, "texts"), *cases = ax_val_get(goldens, "cases");
	int bad = 0;

	assert_true(ax_val_len(cases) > 70);
	for (size_t i = 0; i < ax_val_len(cases); i++) {
		const struct ax_val *c = ax_val_at(cases, i), *p = ax_val_get(c, "pattern");
		struct ax_regex_work *w;
		struct ax_regex *r;
		struct ax_err e;

		if (ax_regex_new(&r, p->u.s, p->n, &e))
			fail_msg("%.*s: %s", (int)p->n, p->u.s, e.msg);
		w = ax_regex_work_new(r);
		for (size_t k = 0; k < ax_val_len(texts); k++)
			if (!equal(r, w, ax_val_at(texts, k), ax_val_at(ax_val_get(c, "matches"), k))) {
				print_error("%.*s on text %zu\n", (int)p->n, p->u.s, k);
				bad++;
			}
		ax_regex_work_free(w);
		ax_regex_free(r);
	}
	assert_int_equal(bad, 0);
}

static void test_refused(void **state)
{
	const struct ax_val *list = ax_val_get(goldens, "refused");

	for (size_t i = 0; i < ax_val_len(list); i++) {
		const struct ax_val *p = ax_val_at(list, i);
		struct ax_regex *r;
		struct ax_err e;

		if (ax_regex_new(&r, p->u.s, p->n, &e) != AX_EDATA)
			fail_msg("%.*s was taken", (int)p->n, p->u.s);
		assert_null(r);
		assert_ptr_equal(strstr(e.msg, "regex: "), e.msg);
	}
}

/* A pattern that backtracks without end is an error soon, not a hang. */
static void test_limit(void **state)
{
	static const char *const slow[] = {"(?:a+)+$", "(?:a|aa)+$", "(?:a*)*b", "(?:(?:a?){30}){30}b", "(?<=a)(?:a+a+)+b"};
	char text[5001];

	memset(text, 'a', sizeof(text));
	text[5000] = '!';
	for (size_t i = 0; i < sizeof(slow) / sizeof(slow[0]); i++) {
		struct ax_regex_iter it = {0, 0};
		struct ax_regex_work *w;
		struct ax_regex *r;
		size_t begin, end;
		clock_t start = clock();
		struct ax_err e;
		int rc;

		if (ax_regex_new(&r, slow[i], strlen(slow[i]), &e))
			fail_msg("%s: %s", slow[i], e.msg);
		w = ax_regex_work_new(r);
		rc = ax_regex_find(r, w, text, sizeof(text), &it, &begin, &end);
		assert_true(rc <= 0);
		assert_true(clock() - start < 5 * CLOCKS_PER_SEC);
		if (i < 2)
			assert_int_equal(rc, AX_EMEM);
		ax_regex_work_free(w);
		ax_regex_free(r);
	}
}

static void test_folds(void **state)
{
	struct ax_cset s = {0};
	static const uint32_t ss[] = {'s', 's'}, ffi[] = {'f', 'f', 'i'}, ab[] = {'a', 'b'}, sharp = 0xDF, a = 'a';

	ax_cset_add(&s, 'k', 'k');
	ax_cset_fold(&s);
	assert_int_equal(s.n, 3); /* K, k and the sign of Kelvin */
	assert_int_equal(s.r[4], 0x212A);
	ax_cset_release(&s);
	assert_int_equal(ax_cset_fold_char(0x212A), 'K');
	assert_int_equal(ax_cset_fold_char('1'), '1');
	assert_true(ax_cset_multi(&sharp, 1));
	assert_false(ax_cset_multi(&a, 1));
	assert_false(ax_cset_multi(ss, 2)); /* not folded */
	for (size_t n = 2; n <= 3; n++) {
		uint32_t x[3];

		for (size_t i = 0; i < n; i++)
			x[i] = ax_cset_fold_char(n == 2 ? ss[i] : ffi[i]);
		assert_true(ax_cset_multi(x, n));
	}
	assert_false(ax_cset_multi(ab, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_matches),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_limit),
	    cmocka_unit_test(test_folds),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * Planning speed and fill of the packer on N lengths from a generator: lengths only, window by window, as ax-pack plans.
 * Beside it what best fit decreasing of the whole set would need, counted over classes of equal bins, so for any N.
 * Prints one JSON line. usage: bench-pack N MEAN SIGMA SEQ_LEN WINDOW
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/packer.h"

/* Lognormal lengths, clipped to 1 .. capacity; count[l]: how many of them. */
static void make_lengths(uint32_t *len, uint64_t n, double mean, double sigma, uint32_t capacity, uint64_t *count)
{
	double mu = log(mean) - sigma * sigma / 2;

	for (uint64_t i = 0; i < n; i++) {
		double x = exp(mu + sigma * ax_rand_normal(1, AX_RNG_SAMPLE, i));

		len[i] = x < 1 ? 1 : x > capacity ? capacity : (uint32_t)x;
		count[len[i]]++;
	}
}

/*
 * Bins of best fit decreasing on the whole set. Of c rows of length l each goes into the fullest bin that holds it; a bin
 * with room r is that until it has taken r / l of them. So all bins of one room can be filled together, and bins[r], how
 * many have room r, is the whole state.
 */
static uint64_t whole_set(const uint64_t *count, uint32_t capacity)
{
	uint64_t *bins = ax_calloc((size_t)capacity + 1, sizeof(*bins)), n = 0;

	for (uint32_t l = capacity; bins && l > 0; l--) {
		uint64_t c = count[l];

		for (uint32_t r = l; c && r <= capacity; r++) {
			uint64_t each = r / l, have, full;

			if (r == capacity && bins[r] * each < c) { /* new bins */
				uint64_t more = (c - bins[r] * each + each - 1) / each;

				bins[r] += more;
				n += more;
			}
			have = bins[r];
			full = c / each < have ? c / each : have;
			bins[r] -= full;
			bins[r - each * l] += full;
			c -= full * each;
			if (c && full < have) { /* the rest, fewer than one takes, go into one bin */
				bins[r]--;
				bins[r - c * l]++;
				c = 0;
			}
		}
	}
	ax_free(bins);
	return n;
}

static long resident_kib(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

static double user_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec * 1e-6;
}

int main(int argc, char **argv)
{
	struct ax_err e = {0};
	struct ax_lengths_stats s;
	uint32_t *len, capacity, window;
	uint64_t n, *count;
	double t0, u0, t, u;
	long before;

	if (argc != 6) {
		fprintf(stderr, "usage: bench-pack N MEAN SIGMA SEQ_LEN WINDOW\n");
		return 2;
	}
	n = strtoull(argv[1], NULL, 10);
	capacity = (uint32_t)strtoul(argv[4], NULL, 10);
	window = (uint32_t)strtoul(argv[5], NULL, 10);
	len = ax_malloc(n * sizeof(*len));
	count = ax_calloc((size_t)capacity + 1, sizeof(*count));
	if (!len || !count || !n) {
		fprintf(stderr, "bench-pack: no memory for the lengths\n");
		return 5;
	}
	make_lengths(len, n, atof(argv[2]), atof(argv[3]), capacity, count);
	before = resident_kib();
	t0 = ax_now();
	u0 = user_seconds();
	if (ax_pack_lengths(len, n, capacity, window, NULL, NULL, &s, &e)) {
		fprintf(stderr, "bench-pack: %s\n", e.msg);
		return ax_exit_code(e.code);
	}
	t = ax_now() - t0;
	u = user_seconds() - u0;
	printf("{\"rows\": %" PRIu64 ", \"mean\": %s, \"sigma\": %s, \"sequence_len\": %u, \"window\": %u, "
	       "\"packs\": %" PRIu64 ", \"lower_bound\": %" PRIu64 ", \"whole_set\": %" PRIu64 ", \"fill\": %.6f, "
	       "\"excess\": %.7f, \"seconds\": %.3f, \"user_seconds\": %.3f, \"rows_per_user_second\": %.0f, "
	       "\"kib_beside_input\": %ld}\n",
	       n, argv[2], argv[3], capacity, window, s.packs, s.bound, whole_set(count, capacity),
	       (double)s.tokens / ((double)s.packs * capacity), (double)(s.packs - s.bound) / (double)s.bound, t, u,
	       (double)n / u, resident_kib() - before);
	ax_free(len);
	ax_free(count);
	return 0;
}

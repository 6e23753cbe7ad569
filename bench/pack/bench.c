/*
 * Planning speed and fill of the packer on N lengths from a generator: lengths only, window by window, as ax-pack plans.
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

/* Lognormal lengths, clipped to 1 .. capacity. */
static void make_lengths(uint32_t *len, uint64_t n, double mean, double sigma, uint32_t capacity)
{
	for (uint64_t i = 0; i < n; i++) {
		double x = exp(log(mean) - sigma * sigma / 2 + sigma * ax_rand_normal(1, AX_RNG_SAMPLE, i));

		len[i] = x < 1 ? 1 : x > capacity ? capacity : (uint32_t)x;
	}
}

static long resident_kib(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

int main(int argc, char **argv)
{
	struct ax_err e = {0};
	struct ax_lengths_stats s;
	uint32_t *len, capacity, window;
	uint64_t n;
	double t0, t1;
	long before;

	if (argc != 6) {
		fprintf(stderr, "usage: bench-pack N MEAN SIGMA SEQ_LEN WINDOW\n");
		return 2;
	}
	n = strtoull(argv[1], NULL, 10);
	capacity = (uint32_t)strtoul(argv[4], NULL, 10);
	window = (uint32_t)strtoul(argv[5], NULL, 10);
	len = ax_malloc(n * sizeof(*len));
	if (!len || !n) {
		fprintf(stderr, "bench-pack: no memory for the lengths\n");
		return 5;
	}
	make_lengths(len, n, atof(argv[2]), atof(argv[3]), capacity);
	before = resident_kib();
	t0 = ax_now();
	if (ax_pack_lengths(len, n, capacity, window, NULL, NULL, &s, &e)) {
		fprintf(stderr, "bench-pack: %s\n", e.msg);
		return ax_exit_code(e.code);
	}
	t1 = ax_now();
	printf("{\"rows\": %" PRIu64 ", \"mean\": %s, \"sigma\": %s, \"sequence_len\": %u, \"window\": %u, "
	       "\"packs\": %" PRIu64 ", \"lower_bound\": %" PRIu64 ", \"fill\": %.6f, \"excess\": %.6f, "
	       "\"seconds\": %.3f, \"rows_per_second\": %.0f, \"kib_beside_input\": %ld}\n",
	       n, argv[2], argv[3], capacity, window, s.packs, s.bound, (double)s.tokens / ((double)s.packs * capacity),
	       (double)(s.packs - s.bound) / (double)s.bound, t1 - t0, (double)n / (t1 - t0), resident_kib() - before);
	ax_free(len);
	return 0;
}

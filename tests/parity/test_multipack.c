/*
 * Against Axolotl's sampler: on the same samples our packs are never more than its bins. Needs the conformance set
 * axolotl-multipack (AX_ASSETS).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "data/packer.h"
#include "text/json.h"

static int n_test, n_bad;
static uint64_t our_packs, their_bins;

static void result(const char *id, bool ok, const char *why)
{
	n_test++;
	n_bad += !ok;
	printf("%s %d - %s%s%s\n", ok ? "ok" : "not ok", n_test, id, ok ? "" : ": ", ok ? "" : why);
}

/* Lengths of the samples that Axolotl packed (drop_last may leave some out), and its number of bins. */
static size_t packed_samples(const struct ax_val *c, int64_t capacity, uint32_t *len, uint64_t *bins)
{
	const struct ax_val *lengths = ax_val_get(c, "lengths"), *batches = ax_val_get(c, "batches");
	size_t n = 0;

	*bins = 0;
	for (size_t b = 0; b < ax_val_len(batches); b++)
		for (size_t i = 0; i < ax_val_len(ax_val_at(batches, b)); i++) {
			const struct ax_val *bin = ax_val_at(ax_val_at(batches, b), i);

			++*bins;
			for (size_t k = 0; k < ax_val_len(bin); k++) {
				int64_t sample = ax_val_int_or(ax_val_at(bin, k), 0);
				int64_t l = ax_val_int_or(ax_val_at(lengths, (size_t)sample), 0);

				if (l > 0 && l <= capacity)
					len[n++] = (uint32_t)l;
				else if (l > capacity) /* its own bin there; ax-pack refuses or cuts it */
					--*bins;
			}
		}
	return n;
}

static void run_case(const struct ax_val *c, const char *id)
{
	int64_t capacity = ax_val_int_or(ax_val_path(c, "params.capacity"), 0);
	uint32_t *len = ax_calloc(ax_val_len(ax_val_get(c, "lengths")) + 1, sizeof(*len));
	struct ax_lengths_stats s, w;
	char why[160] = "no memory";
	struct ax_err e = {0};
	uint64_t bins = 0;
	bool ok = false;
	size_t n;

	if (len) {
		n = packed_samples(c, capacity, len, &bins);
		if (ax_pack_lengths(len, n, (uint32_t)capacity, AX_PACK_WINDOW, NULL, NULL, &s, &e) ||
		    ax_pack_lengths(len, n, (uint32_t)capacity, 0, NULL, NULL, &w, &e))
			snprintf(why, sizeof(why), "%.150s", e.msg);
		else
			snprintf(why, sizeof(why), "%llu packs, Axolotl %llu, whole file %llu, bound %llu",
				 (unsigned long long)s.packs, (unsigned long long)bins, (unsigned long long)w.packs,
				 (unsigned long long)s.bound);
		our_packs += s.packs;
		their_bins += bins;
		ok = !e.code && s.packs <= bins && w.packs <= bins && s.bound <= w.packs;
	}
	result(id, ok, why);
	ax_free(len);
}

int main(void)
{
	const char *assets = getenv("AX_ASSETS");
	char *path = ax_path_join(assets ? assets : "../shared/assets", "vectors/axolotl-multipack/cases.json");
	struct ax_err e = {0};
	struct ax_arena a;
	struct ax_val *list;

	ax_arena_init(&a, 0);
	if (!path || !ax_path_exists(path)) {
		printf("ok 1 - axolotl-multipack # SKIP no assets\n1..1\n");
		return 0;
	}
	if (ax_json_file(&a, path, (size_t)256 << 20, &list, &e)) {
		printf("not ok 1 - %s\n1..1\n", e.msg);
		return 1;
	}
	for (size_t i = 0; i < ax_val_len(list); i++) {
		const struct ax_val *c = ax_val_at(list, i);

		if (ax_val_is(ax_val_get(c, "kind"), "pack") && ax_val_is_null(ax_val_get(c, "error")))
			run_case(c, ax_val_cstr(&a, ax_val_get(c, "id"), "?"));
	}
	printf("# all cases: %llu packs, Axolotl %llu bins\n1..%d\n", (unsigned long long)our_packs,
	       (unsigned long long)their_bins, n_test);
	ax_arena_release(&a);
	ax_free(path);
	return n_bad != 0;
}

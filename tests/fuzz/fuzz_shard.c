/* A shard folder: u32 size of the index, the index, then shard-00000.axs; checksums made right in a second run. */
#include "base/mem.h"
#include "fmt/shard.h"
#include "fmt_fix.h"
#include "scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void read_folder(const unsigned char *index, size_t n_index, const unsigned char *shard, size_t n_shard)
{
	struct ax_shards s;
	struct ax_pack p;

	scratch_put(AX_SHARD_INDEX, index, n_index);
	scratch_put("shard-00000.axs", shard, n_shard);
	if (ax_shards_open(&s, scratch(), NULL))
		return;
	for (int k = 0; k < AX_N_SPLIT; k++)
		for (uint64_t i = 0; i < s.n_pack[k] && i < 100; i++)
			if (!ax_shards_read(&s, k, i, &p, NULL) && (p.n > s.sequence_len || p.split != k))
				__builtin_trap();
	ax_shards_check(&s, NULL);
	ax_shards_close(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	unsigned char *copy;
	size_t cut;

	if (n < 4 || n > (1u << 20))
		return 0;
	cut = ax_get_u32(p) % (n - 3);
	read_folder(p + 4, cut, p + 4 + cut, n - 4 - cut);
	copy = ax_malloc(n);
	if (!copy)
		return 0;
	memcpy(copy, p, n);
	fix_frames(copy + 4, cut);
	fix_frames(copy + 4 + cut, n - 4 - cut);
	read_folder(copy + 4, cut, copy + 4 + cut, n - 4 - cut);
	ax_free(copy);
	return 0;
}

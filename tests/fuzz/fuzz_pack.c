/* Blocks of rows and packs: the first byte chooses id width, kind and sequence length, the rest is a payload. */
#include <string.h>

#include "base/mem.h"
#include "fmt/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct ax_pack_buf buf;
	struct ax_block b;
	struct ax_pack pack;
	struct ax_row r;
	uint32_t seq, sum = 0;
	unsigned char *q;
	bool end = false, packs;
	int bits;

	if (n < 1 || n > (1u << 20))
		return 0;
	bits = p[0] & 1 ? 16 : 32;
	packs = p[0] & 2;
	seq = 1u << (p[0] >> 4);
	q = ax_malloc_aligned(64, n);
	if (!q)
		return 0;
	memcpy(q, p + 1, n - 1);
	ax_block_init(&b);
	ax_pack_buf_init(&buf);
	if (!ax_block_parse(&b, q, n - 1, bits, packs, NULL)) {
		while (ax_block_next(&b, &r)) {
			if (ax_row_check(&r, bits, NULL))
				__builtin_trap();
			sum += r.id[r.n - 1] + ax_row_trained(&r);
		}
		ax_block_rewind(&b);
		while (packs && !ax_pack_next(&b, &buf, seq, &pack, &end, NULL) && !end) {
			if (pack.n > seq || pack.trained > pack.n - pack.n_doc)
				__builtin_trap();
			sum += pack.label ? (uint32_t)pack.label[pack.n - 1] : 0;
		}
	}
	ax_block_release(&b);
	ax_pack_buf_release(&buf);
	ax_free(q);
	(void)*(volatile uint32_t *)&sum;
	return 0;
}

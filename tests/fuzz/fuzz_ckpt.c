/*
 * A checkpoint of one rank: u32 sizes of manifest and state, then manifest, state, rank file; a second time with the
 * manifest's size and hash of the file made right. What opens must have every element once, and read without a fault.
 */
#include <inttypes.h>

#include "base/buf.h"
#include "base/hash.h"
#include "scratch.h"
#include "train/ckpt.h"

#define RANK_FILE "rank-00001-of-00001.safetensors"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void use(const struct ax_ckpt *k)
{
	for (size_t i = 0; i < k->n_param; i++) {
		const struct ax_ckpt_param *p = &k->param[i];

		for (int part = 0; part < (k->model_only ? 1 : AX_CKPT_N_PART); part++) {
			uint64_t at = 0;
			float x[64];

			for (size_t r = 0; r < p->n_range[part]; r++) {
				if (p->range[part][r].begin != at)
					abort();
				at += p->range[part][r].n;
			}
			if (at != ax_part_elems((enum ax_part)part, p->n_elem) && (part < AX_PART_M_SCALE || at))
				abort();
			for (uint64_t b = 0; b < at && b < 4096; b += 64) {
				uint64_t take = at - b < 64 ? at - b : 64;

				if (ax_ckpt_read(k, p, (enum ax_part)part, b, take, x, NULL))
					break;
			}
		}
		if (!ax_ckpt_find(k, p->name))
			abort();
	}
	ax_ckpt_verify(k, NULL);
}

static void open_it(const char *manifest, size_t n_manifest, const uint8_t *state, size_t n_state, const uint8_t *file,
		    size_t n_file)
{
	struct ax_ckpt k;

	scratch_put(AX_CKPT_MANIFEST, manifest, n_manifest);
	scratch_put(AX_CKPT_STATE, state, n_state);
	scratch_put(RANK_FILE, file, n_file);
	if (ax_ckpt_open(&k, scratch(), NULL))
		return;
	use(&k);
	ax_ckpt_close(&k);
}

/* Put `text` over what follows `key` in the manifest; the old value must be as long. */
static void patch(char *manifest, size_t n, const char *key, const char *text)
{
	size_t n_key = strlen(key), n_text = strlen(text);

	for (size_t i = 0; n >= n_key + n_text && i <= n - n_key - n_text; i++)
		if (!memcmp(manifest + i, key, n_key)) {
			memcpy(manifest + i + n_key, text, n_text);
			return;
		}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	size_t n_manifest, n_state, n_file, n_header;
	const uint8_t *file;
	char *copy, text[32];

	if (n < 9 || n > (1u << 20))
		return 0;
	n_manifest = ax_get_u32(p) % (n - 7);
	n_state = ax_get_u32(p + 4) % (n - 7 - n_manifest);
	file = p + 8 + n_manifest + n_state;
	n_file = n - 8 - n_manifest - n_state;
	open_it((const char *)p + 8, n_manifest, p + 8 + n_manifest, n_state, file, n_file);
	copy = ax_malloc(n_manifest + 1);
	if (!copy)
		return 0;
	memcpy(copy, p + 8, n_manifest);
	n_header = n_file < 8 || ax_get_u64(file) > n_file - 8 ? n_file : (size_t)ax_get_u64(file) + 8;
	snprintf(text, sizeof(text), "%016" PRIx64, ax_hash64(file, n_header));
	patch(copy, n_manifest, "\"header_xxh3\": \"", text);
	snprintf(text, sizeof(text), "%8zu", n_file); /* the seeds leave room for this */
	patch(copy, n_manifest, "\"bytes\":", text);
	open_it(copy, n_manifest, p + 8 + n_manifest, n_state, file, n_file);
	ax_free(copy);
	return 0;
}

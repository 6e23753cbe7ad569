/*
 * A safetensors file from any bytes. What opens must tile its data, be found by name, and survive being laid out and
 * written again. If the first byte is 'i', a u32 follows with the size of an index: a model folder of index and one file.
 */
#include "base/buf.h"
#include "base/hash.h"
#include "fmt/safetensors.h"
#include "scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void write_again(const struct ax_st_file *f)
{
	struct ax_st_tensor *t = ax_malloc((f->n_tensor + 1) * sizeof(*t));
	struct ax_buf header = AX_BUF_INIT;
	uint64_t total;

	if (!t)
		return;
	if (f->n_tensor)
		memcpy(t, f->tensor, f->n_tensor * sizeof(*t));
	if (!ax_st_layout(t, f->n_tensor, &total, NULL)) {
		if (total != f->map.n - f->data_off)
			abort();
		if (!ax_st_header(&header, t, f->n_tensor, f->metadata, NULL) && header.n % 8)
			abort();
	}
	ax_buf_release(&header);
	ax_free(t);
}

static void use(const struct ax_st_file *f)
{
	uint64_t bytes = 0;
	size_t checked;

	for (size_t i = 0; i < f->n_tensor; i++) {
		const struct ax_st_tensor *t = &f->tensor[i];

		if (ax_st_find(f, t->name) != t && strlen(t->name) > 0 && i && strcmp(t->name, t[-1].name) <= 0)
			abort();
		if (t->bytes && ax_hash64(t->data, (size_t)t->bytes) == 1)
			abort(); /* reads all of it */
		bytes += t->bytes;
	}
	if (bytes != f->map.n - f->data_off)
		abort();
	ax_st_check(f, &checked, NULL);
	write_again(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct ax_st_model m;
	struct ax_st_file f;
	size_t cut;

	if (n < 5 || p[0] != 'i') {
		scratch_put("f.safetensors", p, n);
		if (ax_st_open(&f, scratch_path("f.safetensors"), NULL))
			return 0;
		use(&f);
		ax_st_close(&f);
		return 0;
	}
	cut = ax_get_u32(p + 1) % (n - 4);
	scratch_put("model.safetensors.index.json", p + 5, cut);
	scratch_put("m.safetensors", p + 5 + cut, n - 5 - cut);
	if (ax_st_model_open(&m, scratch(), NULL))
		return 0;
	for (size_t i = 0; i < m.n_entry; i++)
		if (ax_st_model_find(&m, m.entry[i].t->name) != &m.entry[i])
			abort();
	ax_st_model_close(&m);
	return 0;
}

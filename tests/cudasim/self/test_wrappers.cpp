/*
 * The wrappers of device.h against tests/golden/cuda/wrappers.txt: the twins in the simulator, and PTX on a GPU
 * (make check-gpu compiles this with nvcc). With --write it writes the file.
 */
#include <cstring>
#include <string>

#include "help.h"
#include "wrappers.h"

#define GOLDEN "tests/golden/cuda/wrappers.txt"

static const size_t n_words = static_cast<size_t>(N_WRAPPER) * 32 * WRAPPER_WORDS;

static std::vector<uint32_t> run(cudaStream_t s)
{
	std::vector<unsigned char> bytes(512);
	std::vector<float> special = {0.0f, -0.0f, 1.0f, -1.0f, 1.00390625f, 1.01171875f, 1.0039063f, 3.4e38f, -3.4e38f, INFINITY, -INFINITY, 1e-45f, 1e-39f, 1.17549435e-38f, 9.2e-41f, 65504.0f};
	for (size_t i = 0; i < bytes.size(); i++) /* no NaN among them as bf16, whose bits a product need not keep */
		bytes[i] = static_cast<unsigned char>(i % 2 ? i * 7 % 120 : i * 37 + 11);
	for (int i = 0; i < 16; i++)
		special.push_back(static_cast<float>(i - 7) * 0.3712345f);
	device_array out(n_words * 4), in(bytes.size()), sp(special.size() * 4);
	must(cudaMemsetAsync(out.p, 0, n_words * 4, s));
	upload(in.p, bytes, s);
	upload(sp.p, special, s);
	wrappers_run(static_cast<uint32_t *>(out.p), static_cast<unsigned char *>(in.p), static_cast<float *>(sp.p), s);
	must(cudaGetLastError());
	return download<uint32_t>(out.p, n_words, s);
}

static const uint32_t *lane_of(const std::vector<uint32_t> &w, int which, int lane)
{
	return w.data() + static_cast<size_t>(which * 32 + lane) * WRAPPER_WORDS;
}

static int write_golden(const std::vector<uint32_t> &w)
{
	FILE *f = fopen(GOLDEN, "w");
	if (!f)
		return 1;
	for (int k = 0; k < N_WRAPPER; k++)
		for (int lane = 0; lane < 32; lane++) {
			fprintf(f, "%d %d", k, lane);
			for (int i = 0; i < wrapper_abouts[k].n; i++)
				fprintf(f, " %08x", lane_of(w, k, lane)[i]);
			fputc('\n', f);
		}
	return fclose(f);
}

static bool same(uint32_t got, uint32_t want, bool near)
{
	float a, b;
	memcpy(&a, &got, 4);
	memcpy(&b, &want, 4);
	return got == want || (near && std::fabs(a - b) <= 1e-6f * std::fabs(b) + 2e-6f);
}

/* Does this wrapper give what the file says? */
static bool compare(FILE *f, const std::vector<uint32_t> &w, int which)
{
	bool ok = true;
	for (int lane = 0; lane < 32; lane++) {
		int k, l;
		if (fscanf(f, "%d %d", &k, &l) != 2 || k != which || l != lane)
			return false;
		for (int i = 0; i < wrapper_abouts[which].n; i++) {
			unsigned want, got = lane_of(w, which, lane)[i];
			if (fscanf(f, "%x", &want) != 1)
				return false;
			if (ok && !same(got, want, wrapper_abouts[which].near)) {
				printf("# lane %d, word %d: %08x, not %08x\n", lane, i, got, want);
				ok = false;
			}
		}
	}
	return ok;
}

int main(int argc, char **argv)
{
	cudaStream_t s = new_stream();
	const std::vector<uint32_t> w = run(s);
	if (argc > 1 && !strcmp(argv[1], "--write"))
		return write_golden(w);
	FILE *f = fopen(GOLDEN, "r");
	check(f != nullptr, GOLDEN);
	for (int k = 0; f && k < N_WRAPPER; k++)
		check(compare(f, w, k), wrapper_abouts[k].name);
	if (f)
		fclose(f);
	must(cudaStreamDestroy(s));
	return finish();
}

/*
 * Conversions, compiled three times by tests/cuda/toolkit.sh: with our headers (-DCONVERT=ours), with the toolkit's
 * (-DCONVERT=real), and without either as the program that compares them.
 */
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <initializer_list>

#define DECLARE(which)                                                                                                 \
	void to_bf16_##which(uint16_t *y, const float *x, int n);                                                      \
	void to_half_##which(uint16_t *y, const float *x, int n);                                                      \
	void from_bf16_##which(float *y, const uint16_t *x, int n);                                                    \
	void from_half_##which(float *y, const uint16_t *x, int n);
DECLARE(ours)
DECLARE(real)

#ifdef CONVERT
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define PASTE(a, b) a##_##b
#define NAME(a, b) PASTE(a, b)

template <class T> static uint16_t bits_of(T h)
{
	uint16_t bits;
	memcpy(&bits, &h, sizeof bits);
	return bits;
}
template <class T> static T from_bits(uint16_t bits)
{
	T h;
	memcpy(static_cast<void *>(&h), &bits, sizeof h);
	return h;
}
void NAME(to_bf16, CONVERT)(uint16_t *y, const float *x, int n)
{
	for (int i = 0; i < n; i++)
		y[i] = bits_of(__float2bfloat16_rn(x[i]));
}
void NAME(to_half, CONVERT)(uint16_t *y, const float *x, int n)
{
	for (int i = 0; i < n; i++)
		y[i] = bits_of(__float2half_rn(x[i]));
}
void NAME(from_bf16, CONVERT)(float *y, const uint16_t *x, int n)
{
	for (int i = 0; i < n; i++)
		y[i] = __bfloat162float(from_bits<__nv_bfloat16>(x[i]));
}
void NAME(from_half, CONVERT)(float *y, const uint16_t *x, int n)
{
	for (int i = 0; i < n; i++)
		y[i] = __half2float(from_bits<__half>(x[i]));
}
#else

enum { BATCH = 1 << 16 };
static float x[BATCH], fa[BATCH], fb[BATCH];
static uint16_t a[BATCH], b[BATCH];
static unsigned long n_bad;

static void compare(const char *what, uint32_t first, uint32_t step)
{
	for (uint32_t i = 0; i < BATCH; i++)
		if (a[i] != b[i] && n_bad++ < 10)
			printf("# float 0x%08x to %s: ours 0x%04x, the toolkit's 0x%04x\n", first + i * step, what,
			       a[i], b[i]);
}

/* 65,536 floats whose bits are first, first + step, ... */
static void narrow(uint32_t first, uint32_t step)
{
	for (uint32_t i = 0; i < BATCH; i++) {
		const uint32_t bits = first + i * step;
		memcpy(&x[i], &bits, sizeof bits);
	}
	to_bf16_ours(a, x, BATCH);
	to_bf16_real(b, x, BATCH);
	compare("bf16", first, step);
	to_half_ours(a, x, BATCH);
	to_half_real(b, x, BATCH);
	compare("fp16", first, step);
}

static void widen(const char *what)
{
	for (int i = 0; i < BATCH; i++)
		if (memcmp(&fa[i], &fb[i], sizeof fa[i]) && n_bad++ < 10)
			printf("# %s 0x%04x to float: ours %a, the toolkit's %a\n", what, static_cast<unsigned>(i),
			       double(fa[i]), double(fb[i]));
}

int main(int argc, char **)
{
	for (uint32_t i = 0; i < BATCH; i++)
		a[i] = static_cast<uint16_t>(i);
	from_bf16_ours(fa, a, BATCH);
	from_bf16_real(fb, a, BATCH);
	widen("bf16");
	from_half_ours(fa, a, BATCH);
	from_half_real(fb, a, BATCH);
	widen("fp16");
	if (argc > 1)
		for (uint32_t high = 0; high < 65536; high++)
			narrow(high << 16, 1);
	for (uint32_t low : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu})
		narrow(low, 65536);
	for (uint32_t high : {0x3f80u, 0x7f80u, 0x8000u, 0x3300u, 0x3380u, 0x3880u, 0x477fu, 0x387fu})
		narrow(high << 16, 1);
	return n_bad != 0;
}
#endif

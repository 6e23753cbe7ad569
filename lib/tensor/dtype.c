#include "tensor/ops.h"

#include <string.h>

size_t ax_dtype_size(enum ax_dtype t)
{
	static const unsigned char size[] = {
		[AX_F32] = 4, [AX_BF16] = 2, [AX_F16] = 2, [AX_I32] = 4, [AX_U8] = 1, [AX_F64] = 8, [AX_I64] = 8, [AX_Q8] = 1,
	};

	return size[t];
}

const char *ax_dtype_name(enum ax_dtype t)
{
	static const char *const name[] = {
		[AX_F32] = "f32", [AX_BF16] = "bf16", [AX_F16] = "f16", [AX_I32] = "i32",
		[AX_U8] = "u8",	  [AX_F64] = "f64",   [AX_I64] = "i64",   [AX_Q8] = "8bit",
	};

	return name[t];
}

static uint32_t bits_of(float x)
{
	uint32_t u;

	memcpy(&u, &x, sizeof(u));
	return u;
}

static float float_of(uint32_t u)
{
	float x;

	memcpy(&x, &u, sizeof(x));
	return x;
}

uint16_t ax_f32_to_bf16(float x)
{
	uint32_t u = bits_of(x);

	if ((u & 0x7fffffff) > 0x7f800000)
		return (uint16_t)(u >> 16 | 0x40); /* a NaN whose payload sits in the low half must not become infinity */
	return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

float ax_bf16_to_f32(uint16_t x)
{
	return float_of((uint32_t)x << 16);
}

/* Shift right by n bits, 1 <= n <= 31, rounding to nearest even. */
static uint32_t shift_round(uint32_t u, int n)
{
	uint32_t half = (uint32_t)1 << (n - 1);

	return (u + half - 1 + (u >> n & 1)) >> n;
}

uint16_t ax_f32_to_f16(float x)
{
	uint32_t u = bits_of(x), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;

	if (a > 0x7f800000)
		return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff));
	if (a >= 0x477ff000) /* 65520 and above round to infinity */
		return (uint16_t)(sign | 0x7c00);
	if (a >= 0x38800000) /* normal in f16: 2^-14 and above; a carry out of the mantissa raises the exponent rightly */
		return (uint16_t)(sign | shift_round(a - 0x38000000, 13));
	if (a < 0x33000000) /* below half of the smallest subnormal, 2^-25 */
		return (uint16_t)sign;
	return (uint16_t)(sign | shift_round((a & 0x7fffff) | 0x800000, 126 - (int)(a >> 23)));
}

float ax_f16_to_f32(uint16_t x)
{
	uint32_t sign = (uint32_t)(x & 0x8000) << 16, e = x >> 10 & 31, m = x & 0x3ff;

	if (e == 31)
		return float_of(sign | 0x7f800000 | m << 13);
	if (e)
		return float_of(sign | (e + 112) << 23 | m << 13);
	return float_of(sign | bits_of((float)m * 0x1p-24f));
}

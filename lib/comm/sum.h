/*
 * Inside of lib/comm: arrays of the types that sums over ranks take, in f32 between two of them. The MPI plugin has its own
 * copy: it shares no code with the program.
 */
#ifndef AX_COMM_SUM_H
#define AX_COMM_SUM_H

#include <string.h>

#include "comm/comm.h"

static inline float ax_sums_wide(uint16_t h)
{
	uint32_t bits = (uint32_t)h << 16;
	float y;

	memcpy(&y, &bits, sizeof(y));
	return y;
}

/* To nearest even; a NaN stays one. */
static inline uint16_t ax_sums_narrow(float x)
{
	uint32_t b;

	memcpy(&b, &x, sizeof(b));
	return (uint16_t)(x != x ? b >> 16 | 0x40 : (b + 0x7fff + (b >> 16 & 1)) >> 16);
}

/* x (n f32) = or, with add, += n elements at p. */
static inline void ax_sums_take(float *x, const void *p, enum ax_sum_type t, size_t n, bool add)
{
	const uint16_t *h = p;
	const float *f = p;

	if (t == AX_SUM_F32 && !add)
		memcpy(x, p, n * sizeof(*x));
	else if (t == AX_SUM_F32)
		for (size_t i = 0; i < n; i++)
			x[i] += f[i];
	else if (add)
		for (size_t i = 0; i < n; i++)
			x[i] += ax_sums_wide(h[i]);
	else
		for (size_t i = 0; i < n; i++)
			x[i] = ax_sums_wide(h[i]);
}

/* n elements at p = x. */
static inline void ax_sums_put(void *p, enum ax_sum_type t, const float *x, size_t n)
{
	uint16_t *h = p;

	if (t == AX_SUM_F32)
		memcpy(p, x, n * sizeof(*x));
	else
		for (size_t i = 0; i < n; i++)
			h[i] = ax_sums_narrow(x[i]);
}

/* n elements at p += those at q. */
static inline void ax_sums_add(void *p, const void *q, enum ax_sum_type t, size_t n)
{
	for (size_t at = 0, len; at < n; at += len) {
		char *to = (char *)p + at * ax_sum_bytes(t);
		float x[512];

		len = n - at < 512 ? n - at : 512;
		ax_sums_take(x, to, t, len, false);
		ax_sums_take(x, (const char *)q + at * ax_sum_bytes(t), t, len, true);
		ax_sums_put(to, t, x, len);
	}
}

#endif

/* Arrays of 8-bit codes: for what is loaded and stored, beside the ops. */
#include "tensor/round.h"

#include <math.h>

void ax_q8_pack(uint8_t *code, float *scale, const float *x, size_t n, bool first)
{
	for (size_t at = 0; at < n; at += AX_Q8_BLOCK) {
		size_t end = n - at < AX_Q8_BLOCK ? n : at + AX_Q8_BLOCK;
		float most = 0, s;

		for (size_t i = at; i < end; i++)
			most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
		s = scale[at / AX_Q8_BLOCK] = ax_q8_scale(most);
		for (size_t i = at; i < end; i++)
			code[i] = first ? ax_q8_pack_m(x[i], s, AX_ROUND_NEAREST) : ax_q8_pack_v(x[i], s, AX_ROUND_NEAREST);
	}
}

void ax_q8_unpack(float *x, const uint8_t *code, const float *scale, size_t n, bool first)
{
	for (size_t i = 0; i < n; i++) {
		float s = scale[i / AX_Q8_BLOCK];

		x[i] = first ? ax_q8_unpack_m(code[i], s) : ax_q8_unpack_v(code[i], s);
	}
}

/* Attention tiles in bf16 with f32 sums for AVX-512 with BF16. */
#define VL   16
#define NV   4
#define UNIT 2
#define ATTN ax_attn_avx512_bf16
#include "tensor/cpu/attn_body.h"

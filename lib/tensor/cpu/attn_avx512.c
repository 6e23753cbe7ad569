/* Attention tiles in f32 for AVX-512. */
#define VL   16
#define NV   4
#define UNIT 1
#define ATTN ax_attn_avx512
#include "tensor/cpu/attn_body.h"

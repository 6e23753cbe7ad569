/* Attention tiles in f32 for AVX2. */
#define VL   8
#define NV   2
#define UNIT 1
#define ATTN ax_attn_avx2
#include "tensor/cpu/attn_body.h"

/* Attention tiles in f32 for SSE2. */
#define VL   4
#define NV   2
#define UNIT 1
#define ATTN ax_attn_base
#include "tensor/cpu/attn_body.h"

/* The vector kernels for sse2. */
#define VL   4
#define KERN ax_kern_base
#define ISA  "sse2"
#include "tensor/cpu/kern_body.h"

/* The vector kernels for avx2. */
#define VL   8
#define KERN ax_kern_avx2
#define ISA  "avx2"
#include "tensor/cpu/kern_body.h"

/* The vector kernels for avx512. */
#define VL   16
#define KERN ax_kern_avx512
#define ISA  "avx512"
#include "tensor/cpu/kern_body.h"

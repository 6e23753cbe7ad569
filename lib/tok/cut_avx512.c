/* The windows of cut.h for AVX-512 with VBMI2. */
#define TABLE ax_cut_avx512
#include "tok/cut_body.h"

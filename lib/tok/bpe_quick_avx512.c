/* The words of bpe_quick_body.h for AVX-512. */
#define FNS ax_quick_avx512
#include "tok/bpe_quick_body.h"

/* The words of bpe_quick_body.h for AVX2. */
#define FNS ax_quick_avx2
#include "tok/bpe_quick_body.h"

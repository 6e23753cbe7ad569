/* The windows of cut.h for AVX2 and BMI. */
#define TABLE ax_cut_avx2
#include "tok/cut_body.h"

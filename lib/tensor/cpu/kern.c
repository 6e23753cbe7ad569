/* Which vector kernels this processor runs. */
#include "tensor/cpu/kern.h"

bool ax_cpu_has_avx2(void)
{
#if defined(__x86_64__)
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
	return false;
#endif
}

bool ax_cpu_has_avx512(void)
{
#if defined(__x86_64__)
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
	       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma");
#else
	return false;
#endif
}

bool ax_cpu_has_avx512_bf16(void)
{
#if defined(__x86_64__)
	return ax_cpu_has_avx512() && __builtin_cpu_supports("avx512bf16");
#else
	return false;
#endif
}

const struct ax_kern *ax_kern_best(bool baseline)
{
	if (!baseline && ax_cpu_has_avx512())
		return &ax_kern_avx512;
	if (!baseline && ax_cpu_has_avx2())
		return &ax_kern_avx2;
	return &ax_kern_base;
}

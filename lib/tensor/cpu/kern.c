/* Which vector kernels this processor runs. */
#include "tensor/cpu/kern.h"

static enum ax_isa has(void)
{
#if defined(__x86_64__)
	if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
		return AX_ISA_BASE;
	if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
		return AX_ISA_AVX2;
	return __builtin_cpu_supports("avx512bf16") ? AX_ISA_AVX512_BF16 : AX_ISA_AVX512;
#else
	return AX_ISA_BASE;
#endif
}

enum ax_isa ax_isa_best(enum ax_isa most)
{
	enum ax_isa isa = has();

	return isa < most ? isa : most;
}

const struct ax_kern *ax_kern_of(enum ax_isa isa)
{
	static const struct ax_kern *const kern[] = { &ax_kern_base, &ax_kern_avx2, &ax_kern_avx512, &ax_kern_avx512 };

	return kern[isa];
}

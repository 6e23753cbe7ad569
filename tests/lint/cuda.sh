#!/bin/sh
# The coding rules of CUDA kernels (head of lib/tensor/cuda/device.h) as far as a script can tell. Comments are not looked at.
# Each rule is tried on lines that break it: one that no longer catches them fails too.
files=$(find lib/tensor/cuda lib/comm -name '*.cu' -o -path 'lib/tensor/cuda/*.[ch]' -o -name 'nccl*.[ch]' -o -name 'staged*.[ch]' -o -name 'wire*.[ch]' | sort)
bad=0 n=0

# lines FILE: without comments, numbered as in the file
lines() {
	awk '{
		out = ""
		while (length($0)) {
			if (inside) {
				i = index($0, "*/")
				if (!i) { $0 = ""; break }
				$0 = substr($0, i + 2); inside = 0
			} else {
				i = index($0, "/*"); j = index($0, "//")
				if (j && (!i || j < i)) { out = out substr($0, 1, j - 1); $0 = ""; break }
				if (!i) { out = out $0; $0 = ""; break }
				out = out substr($0, 1, i - 1); $0 = substr($0, i + 2); inside = 1
			}
		}
		print FNR ":" out
	}' "$1"
}

rule() { # rule NAME PATTERN FILES-THAT-MAY BROKEN...: the third a pattern (''), then lines that the rule must catch
	name=$1 pattern=$2 may=$3
	shift 3
	n=$((n + 1))
	found=$(for f in $files; do
		[ -n "$may" ] && echo "$f" | grep -qE "$may" && continue
		lines "$f" | grep -E "$pattern" | sed "s|^|$f:|"
	done
	for line; do echo "$line" | grep -qE "$pattern" || echo "the rule does not catch: $line"; done)
	if [ -z "$found" ]; then
		echo "ok $n - $name, $# broken lines caught"
	else
		bad=1
		echo "not ok $n - $name"
		echo "$found" | sed 's/^/# /'
	fi
}

device='^lib/tensor/cuda/device\.h$'
host='\.c$'
rule "launches only by AX_LAUNCH" '<<<|cudaLaunch(Cooperative)?Kernel' "$device" \
	'k<<<1, 32, 0, s>>>(x);' 'cudaLaunchKernel(k, 1, 32, a, 0, s);' 'cudaLaunchKernelExC(&c, k, a);' 'cudaLaunchCooperativeKernel(k, 1, 32, a);'
rule "shared memory only by AX_SHARED and AX_DYN_SHARED" '__shared__' "$device" '__shared__ float a[3];' 'extern __shared__ char b[];'
rule "inline assembly only in device.h" '(^|[^_[:alnum:]])_*asm_*([^_[:alnum:]]|$)' "$device" 'asm volatile("bar.sync 0;");' '__asm__("x");'
rule "16-byte accesses only by device.h's functions" \
	'(_cast< *|\( *)((const|volatile) +)*(u?int4|float4|double2|u?longlong2|u?long2)( +(const|volatile))* *\*' "$device" \
	'v = *reinterpret_cast<const uint4 *>(p);' 'v = *reinterpret_cast<uint4 const*>(p);' 'v = *(int4*)p;' 'v = *(const volatile float4 *)p;' 'v = *(double2 const *)p;' 'v = *(ulonglong2*)p;'
rule "warp operations name the full warp" '__[a-z_]+_sync\( *([^A ]|A[^X]|AX_[^F])|__syncwarp\( *[^)A ]|__activemask|__(shfl|shfl_[a-z]+|ballot|any|all)\(' "$device" \
	'x = __shfl_xor_sync(mask, x, 1);' 'x = __shfl_sync(AX_MASK, x, 1);' 'x = __reduce_add_sync(0xffff, x);' '__syncwarp(mask);' 'm = __activemask();' 'x = __shfl_down(x, 1);' 'x = __any(x);'
rule "nothing on the default stream" \
	'cuda(Memcpy|Memcpy2D|Memset|StreamCreate) *\(|cudaStream(Legacy|PerThread)|cudaMemcpy(To|From)Symbol|AX_LAUNCH\(([^;]*,)? *(0|NULL|nullptr|\{\}) *, *[a-z_]*\)|cudaStream[A-Za-z]*\( *(0|NULL|nullptr) *[,)]' '' \
	'cudaMemcpy(a, b, n, kind);' 'cudaMemset(a, 0, n);' 'cudaStreamCreate(&s);' 'AX_LAUNCH(k, 1, 32, 0, 0, x);' 'AX_LAUNCH((k<a, 1>), 1, 32, 0, nullptr, x);' 'cudaStreamSynchronize(0);' 'cudaStreamWaitEvent(NULL, e, 0);'
rule "no constant, managed or texture memory" '__constant__|__managed__|cudaMallocManaged|tex[123]D|cudaTextureObject_t|cudaSurfaceObject_t' '' \
	'__constant__ float c[3];' '__managed__ int m;' 'cudaMallocManaged(&p, 4);' 'cudaTextureObject_t t;'
rule "no libraries of device code" 'cooperative_groups|<(cub|thrust|cuda|cute|cutlass)/|<(mma|cuda_pipeline|cuda_awbarrier|curand_kernel)[._a-z]*>|(^|[^_[:alnum:]])(wmma|cub|thrust|nvcuda)::' '' \
	'#include <cub/cub.cuh>' '#include <cooperative_groups.h>' '#include <cuda/barrier>' '#include <mma.h>' '#include <cuda_pipeline.h>' 'wmma::fragment<a> f;'
rule "no __noinline__, no device-side waiting" '__noinline__|__nanosleep|\.sync\(\)|cudaGridDependencySynchronize|(^|[^_[:alnum:]])volatile([^_[:alnum:]]|$)' "$device|$host" \
	'__noinline__ void f();' '__nanosleep(10);' 'grid.sync();' 'while (*(volatile int *)flag == 0)'
rule "the same source for both compilers" '__CUDACC__|__CUDA_ARCH__|(^|[^_[:alnum:]])(cudasim|CUDASIM)' "$device|^lib/tensor/cuda/attn_tile\.h$" \
	'#ifdef __CUDACC__' '#if __CUDA_ARCH__ >= 900' 'cudasim_die("x");'
rule "device functions only by AX_DEVICE" '(^|[0-9]:|static|inline) *__device__' "$device" \
	'static __device__ float f(float x)' '__device__ int n;'
rule "atomics: the stand-in's, of the device" 'atomic[A-Z][A-Za-z]*_(system|block)|atomic(Sub|And|Xor|Dec)|__threadfence_system' '' \
	'atomicAdd_system(p, 1);' 'atomicSub(p, 1);' '__threadfence_system();'
rule "kernels and their launchers allocate nothing and wait for nothing" \
	'cuda(Malloc|Free|HostAlloc|HostRegister|MemGetInfo)|cuda[A-Za-z]*(Synchronize|Query) *\(|cudaMemcpy(DeviceToHost|HostToDevice|Default)|(^|[^_[:alnum:]])(malloc|calloc|free|printf|assert)\(' "$host" \
	'cudaMalloc(&p, 4);' 'cudaFreeAsync(p, s);' 'cudaStreamSynchronize(s);' 'cudaEventQuery(e);' 'cudaMemcpyAsync(a, b, n, cudaMemcpyDeviceToHost, s);' 'printf("%f", x);' 'p = malloc(8);' 'assert(x);'
exit $bad

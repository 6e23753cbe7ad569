#!/bin/sh
# The coding rules of CUDA kernels (head of lib/tensor/cuda/device.h) as far as a script can tell. Comments are not looked at.
files=$(find lib/tensor/cuda lib/comm -name '*.cu' -o -path 'lib/tensor/cuda/*.[ch]' -o -name 'nccl*.[ch]' -o -name 'staged*.[ch]' | sort)
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

rule() { # rule NAME PATTERN [files that may, as a pattern]
	n=$((n + 1))
	found=$(for f in $files; do
		[ -n "$3" ] && echo "$f" | grep -qE "$3" && continue
		lines "$f" | grep -E "$2" | sed "s|^|$f:|"
	done)
	if [ -z "$found" ]; then
		echo "ok $n - $1"
	else
		bad=1
		echo "not ok $n - $1"
		echo "$found" | sed 's/^/# /'
	fi
}

device='^lib/tensor/cuda/device\.h$'
rule "launches only by AX_LAUNCH" '<<<|cudaLaunchKernel' "$device"
rule "shared memory only by AX_SHARED and AX_DYN_SHARED" '__shared__' "$device"
rule "inline assembly only in device.h" '(^|[^_[:alnum:]])_*asm_*([^_[:alnum:]]|$)' "$device"
rule "16-byte accesses only by device.h's functions" '(_cast< *(const *)?|\( *(const *)?)(u?int4|float4|double2|u?longlong2) *\*' "$device"
rule "warp operations name the full warp" '__(shfl(_up|_down|_xor)?|ballot|any|all)_sync\( *[^A ]|__syncwarp\( *[^)A ]|__activemask' "$device"
rule "nothing on the default stream" 'cuda(Memcpy|Memcpy2D|Memset|StreamCreate) *\(|cudaStream(Legacy|PerThread)|cudaMemcpy(To|From)Symbol'
rule "no constant, managed or texture memory" '__constant__|__managed__|cudaMallocManaged|tex[123]D|cudaTextureObject_t'
rule "no libraries of device code" 'cooperative_groups|<(cub|thrust|cuda|cute|cutlass)/'
rule "no __noinline__, no device-side waiting" '__noinline__|__nanosleep|\.sync\(\)|cudaGridDependencySynchronize'
exit $bad

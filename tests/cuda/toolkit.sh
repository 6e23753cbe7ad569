#!/bin/sh
# The simulator's stand-in headers against the real ones, where the toolkit is: every enumerator's value, the sizes of what
# is shared with the libraries, and the conversions of bf16 and fp16 (all 2^32 floats in make check-long).
: "${BUILD:=build}"
cc=${CC:-gcc} cxx=${CXX:-g++} nvcc=${NVCC:-nvcc}
home=${CUDA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v "$nvcc")" 2>/dev/null)")" 2>/dev/null)}
[ -f "$home/include/cuda_runtime_api.h" ] || { echo "ok 1 - stand-in headers # SKIP no CUDA toolkit"; exit 0; }
ours=tests/cudasim/include
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
n=0 bad=0
say() { # say STATUS NAME
	n=$((n + 1))
	[ "$1" -eq 0 ] && echo "ok $n - $2" || { bad=1; echo "not ok $n - $2"; }
}

values() { # values HEADER SIZES...: a program that prints them
	header=$1
	shift
	echo "#include <stdio.h>"
	echo "#include <$header>"
	echo "int main(void) {"
	sed -n 's/.*[{, \t]\([A-Za-z_][A-Za-z_0-9]*\) = -\{0,1\}[0-9][0-9x]*[,} ].*/\1/p; s/^[ \t]*\([A-Za-z_][A-Za-z_0-9]*\) = -\{0,1\}[0-9][0-9x]*,\{0,1\}$/\1/p' "$ours/$header" |
		sort -u | sed 's/.*/printf("& = %lld\\n", (long long)&);/'
	sed -n 's/^#define \(cuda[A-Za-z]*\|NCCL_[A-Z_]*\) -\{0,1\}[0-9][0-9x]*$/printf("\1 = %lld\\n", (long long)\1);/p' "$ours/$header" |
		grep -vE 'NCCL_(MAJOR|MINOR|PATCH)'
	for type; do printf 'printf("size of %s = %%zu\\n", sizeof(%s));\n' "$type" "$type"; done
	echo "return 0; }"
}

compare() { # compare HEADER SIZES...
	[ -f "$home/include/$1" ] || { n=$((n + 1)); echo "ok $n - $1 # SKIP the toolkit has none"; return; }
	values "$@" >"$dir/v.c"
	# NCCL 2.22 names bf16 only where CUDA's header of it was included, which is not C
	"$cc" -I$ours -o "$dir/ours" "$dir/v.c" && "$cc" -D__CUDA_BF16_TYPES_EXIST__ -I"$home/include" -o "$dir/real" "$dir/v.c" || { say 1 "$1: compiles with both"; return; }
	"$dir/ours" >"$dir/ours.txt"
	"$dir/real" >"$dir/real.txt"
	diff "$dir/ours.txt" "$dir/real.txt" | sed 's/^/# /'
	cmp -s "$dir/ours.txt" "$dir/real.txt"
	say $? "$1: $(grep -c . "$dir/ours.txt") values and sizes"
}

compare cuda_runtime_api.h short2 ushort4 int2 int3 int4 uint4 float2 float3 float4 double2 longlong2 dim3
compare cublasLt.h cublasLtMatmulAlgo_t cublasLtMatmulHeuristicResult_t
compare nccl.h ncclUniqueId

# the same conversions, once with each header
conv=tests/cudasim/self/convert.cxx
if "$cxx" -std=c++17 -O2 -DCONVERT=ours -I$ours -c -x c++ -o "$dir/a.o" $conv && "$cxx" -std=c++17 -O2 -DCONVERT=real -I"$home/include" -c -x c++ -o "$dir/b.o" $conv &&
	"$cxx" -std=c++17 -O2 -c -x c++ -o "$dir/m.o" $conv && "$cxx" -o "$dir/convert" "$dir/a.o" "$dir/b.o" "$dir/m.o" $BUILD/cudasim/plain/libcudasim.a -ldl -lpthread 2>"$dir/link"; then
	"$dir/convert" ${AX_LONG:+all}
	say $? "conversions of bf16 and fp16${AX_LONG:+, all inputs}"
else
	cat "$dir/link" 2>/dev/null | sed 's/^/# /'
	say 1 "conversions compile with both headers"
fi
exit $bad

#!/bin/sh
# The cases of bench-gpu run, at tiny sizes, on the CPU and on the simulated GPU, and wrong ones are answered.
ops=$BUILD/bench/gpu/ops
[ -x "$ops" ] || { echo "ok 1 - bench-gpu # SKIP not built"; exit 0; }
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
cases='copy 1
linear_fwd 24 40 16
linear_dx 24 40 16
linear_dw 24 40 16
attn_fwd 4 2 16 9 5x2
attn_bwd 4 2 16 9 5x2
rmsnorm_fwd 12 64
rmsnorm_bwd 12 64
glu_fwd 12 64
glu_bwd 12 64
rope 12 4 16 8
embed_bwd 12 16 10
head 12 16 50
adamw 500
adamw_bf16 500
sumsq 500'
wrong='nothing 1
copy
copy 0
attn_fwd 4 2 16 1x10000'
n_cases=$(echo "$cases" | wc -l)
n=0
check() { # check NAME OPTIONS...
	name=$1
	shift
	n=$((n + 1))
	if ! printf '%s\n%s\ncopy 1\n' "$cases" "$wrong" | "$ops" --batch-ms 0 --samples 1 "$@" >"$log" 2>&1; then
		echo "not ok $n - $name"
	elif [ "$(grep -c '^ms ' "$log")" = $((n_cases + 1)) ] && [ "$(grep -c '^error ' "$log")" = 4 ]; then
		echo "ok $n - $name: $n_cases cases"
		return
	else
		echo "not ok $n - $name: $(grep -c '^ms ' "$log") times, $(grep -c '^error ' "$log") refusals"
	fi
	sed 's/^/# /' "$log"
}
check cpu --device cpu
if [ -f "$BUILD/sim/lib/ax/libax-cuda.so" ]; then
	check "simulated GPU, bf16" --device cuda --plugins "$PWD/$BUILD/sim/lib/ax"
	check "simulated GPU, f32" --device cuda --plugins "$PWD/$BUILD/sim/lib/ax" --act f32 --deterministic
fi
echo "1..$n"

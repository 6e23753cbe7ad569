#!/bin/sh
# What ax-train says about GPUs: none, one that is too small, which one a rank takes. On the simulated GPU.
sim=$PWD/$BUILD/sim/bin
[ -e "$BUILD/sim/lib/ax/libax-cuda.so" ] || { echo "ok 1 - GPUs # SKIP this build has no simulated plugin"; exit 0; }
. tests/cuda/common
expect() { # expect NAME STATUS PATTERN COMMAND...: exit status, and a line of standard error
	name=$1 status=$2 pattern=$3
	shift 3
	n=$((n + 1))
	"$@" 2>"$tmp/err" >"$tmp/out"
	got=$?
	if [ $got -eq "$status" ] && grep -qE "$pattern" "$tmp/err"; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name (status $got, not $status)"
		sed 's/^/# /' "$tmp/err"
	fi
}
example 60 256 "learning_rate: 0.001" "max_steps: 1" 'save_strategy: "no"'
train() { # train NAME=VALUE... OPTION...
	rm -rf "$tmp/out.d"
	options= settings=
	for a; do case $a in *=*) settings="$settings $a" ;; *) options="$options $a" ;; esac; done
	# shellcheck disable=SC2086
	env $settings "$sim/ax-train" -c "$tmp/run.yaml" --threads 1 --output-dir "$tmp/out.d" $options "$tmp/shards"
}

expect "no GPU, asked for one" 6 'no NVIDIA GPU is visible' train CUDASIM_DEVICES=0 --device cuda
expect "no GPU, CPU then" 0 'no NVIDIA GPU is visible.*: using the CPU' train CUDASIM_DEVICES=0
expect "it says which are visible" 6 'CUDA_VISIBLE_DEVICES is none' train CUDASIM_DEVICES=0 CUDA_VISIBLE_DEVICES=none --device cuda
expect "too little memory" 5 "needs [0-9.]+ MiB of the GPU's memory and can have" train CUDASIM_MEMORY=40000000 --device cuda

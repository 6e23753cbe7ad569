#!/bin/sh
# The tiny models of tiny.sh on the simulated GPU: ten steps on 1, 2 and 4 ranks, DDP and FSDP, NCCL and staged, against what
# PyTorch gave in double precision: losses and merged weights within 1e-5. make check runs one family, make check-long all,
# in each order of streams.
. tests/parity/tiny_common
sim=$PWD/$BUILD/sim
[ -e "$sim/lib/ax/libax-cuda.so" ] || { echo "ok 1 - tiny models # SKIP no simulated GPU in this build"; exit 0; }
families=qwen3 orders=random
[ -n "$AX_LONG" ] && families='llama llama3-rope llama-tied-bias mistral qwen2 qwen3 smollm3' orders='eager lazy ahead random'
several=1
[ -e "$BUILD/lib/ax/libax-mpi.so" ] && command -v mpirun >/dev/null 2>&1 || several=
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
export XDG_CACHE_HOME="$tmp/cache"
n=0

run() { # run FAMILY RANKS STRATEGY [NAME=VALUE...]
	family=$1 r=$2 strategy=$3
	shift 3
	n=$((n + 1))
	launch=
	[ "$r" -gt 1 ] && launch="$mpirun -n $r"
	rm -rf "$tmp/out"
	# shellcheck disable=SC2086
	env "$@" $launch "$sim/bin/ax-train" -q -c "$tmp/run.yaml" --device cuda --output-dir "$tmp/out" --global-batch 2 --strategy "$strategy" \
		--threads 1 "$tmp/shards" >&2 &&
		as_pytorch "$family" && echo "ok $n - $family, $r ranks, $strategy, $*" || echo "not ok $n - $family, $r ranks, $strategy, $*"
}

for family in $families; do
	"$cmp" rows "$tiny/$family/reference.safetensors" >"$tmp/rows.jsonl"
	prepare "$family" true || {
		n=$((n + 1))
		echo "not ok $n - $family: data"
		continue
	}
	for order in $orders; do
		run "$family" 1 ddp CUDASIM_STREAMS=$order
		[ -n "$several" ] || continue
		run "$family" 2 fsdp CUDASIM_STREAMS=$order
		run "$family" 4 ddp CUDASIM_STREAMS=$order
		run "$family" 2 fsdp CUDASIM_STREAMS=$order AX_WIRE=staged
		[ -n "$AX_LONG" ] || continue
		run "$family" 2 ddp CUDASIM_STREAMS=$order
		run "$family" 4 fsdp CUDASIM_STREAMS=$order
		run "$family" 2 ddp CUDASIM_STREAMS=$order CUDASIM_DEVICES=1
	done
done
[ -n "$several" ] || echo "ok $((n + 1)) - several ranks # SKIP no MPI"

#!/bin/sh
# ax-train on a GPU against ax-train on the CPU: 20 steps of the example's model in f32, bf16 and with bf16 gradients too (four
# sums a step on one rank), which on the CPU are compared with f32 gradients as well; on one rank and several; the
# same bits again, from a checkpoint, and in other orders of streams. The GPU is the simulated one (BUILD/sim); with
# AX_TEST_DEVICE=cuda a real one, which ranks then share.
gpu=$PWD/$BUILD/sim/bin plugin=$BUILD/sim/lib/ax/libax-cuda.so
[ "$AX_TEST_DEVICE" = cuda ] && gpu=$PWD/$BUILD/bin plugin=$BUILD/lib/ax/libax-cuda.so
[ -e "$plugin" ] || { echo "ok 1 - training # SKIP this build has no $plugin"; exit 0; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mpirun=${AX_MPIRUN:-mpirun --oversubscribe --bind-to none}
. tests/cuda/common
result() { # result STATUS NAME
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}

example 600 128 "micro_batch_size: 1" "learning_rate: 0.002" "lr_scheduler: cosine" "warmup_steps: 3" "max_steps: 20" "max_grad_norm: 1.0" "save_steps: 10"

train() { # train OUT BF16 PROGRAM... [OPTION...]: four packs a step, whatever the number of ranks
	out=$tmp/$1 bf16=$2
	shift 2
	"$@" -q -c "$tmp/run.yaml" --output-dir "$out" --bf16 "$bf16" --global-batch 4 --threads 1 "$tmp/shards" >&2
}
cpu="$bin/ax-train --device cpu" cuda="$gpu/ax-train --device cuda"
least="--moments bf16 --masters none --gradients bf16"
losses() {
	sed -n 's/.*"loss": \([0-9.eE+-]*\).*/\1/p' "$tmp/$1/metrics.jsonl"
}
# The largest difference of the losses of two runs, against LIMIT; none at all is a failure.
near() { # near A B LIMIT
	losses "$1" >"$tmp/a"
	losses "$2" >"$tmp/b"
	paste "$tmp/a" "$tmp/b" | awk -v limit="$3" '
		NF != 2 { exit 1 }
		{ d = $1 - $2; if (d < 0) d = -d; if (d > most) most = d; n++ }
		END { printf "# largest difference of %d losses: %g\n", n, most; exit !(n == 20 && most <= limit) }'
}
# Losses, and the tensors of the last checkpoint, bit for bit.
same() { # same A B
	near "$1" "$2" 0 && cmp "$tmp/$1/checkpoint-20/rank-00001-of-00001.safetensors" "$tmp/$2/checkpoint-20/rank-00001-of-00001.safetensors"
}

# Measured products of a checkpoint's trainer state, a line each, with the algorithm and its time.
tuned() {
	sed -n 's/.*"device_tuning": "\(.*\)".*/\1/p' "$1" | sed 's/\\n/\n/g' | grep '^[1-9]' | sort
}
tuned_alike() {
	tuned "$1" >"$tmp/a"
	tuned "$2" >"$tmp/b"
	echo "# $(wc -l <"$tmp/a") products, $(wc -l <"$tmp/b") at the end"
	[ -s "$tmp/a" ] && [ -z "$(comm -23 "$tmp/a" "$tmp/b")" ]
}

# shellcheck disable=SC2086
{
	train cpu-f32 false $cpu && train f32 false $cuda && near cpu-f32 f32 1e-5
	result $? "f32"
	train cpu-bf16 true $cpu && train bf16 true $cuda && near cpu-bf16 bf16 1e-2
	result $? "bf16"
	train cpu-grad true $cpu --gradients bf16 && near cpu-bf16 cpu-grad 1e-2 && ! near cpu-bf16 cpu-grad 0
	result $? "bf16 gradients on the CPU: nearly the losses of f32 gradients"
	train grad true $cuda --gradients bf16 && near cpu-bf16 grad 1e-2
	result $? "bf16 gradients"
	train least true $cuda --deterministic $least && train least2 true $cuda --deterministic $least && same least least2
	result $? "bf16 alone: the same bits twice"
	rm -rf "$tmp/least2/checkpoint-20"
	train least2 true $cuda --deterministic $least --resume-from-checkpoint auto && same least least2
	result $? "and from a checkpoint on"
	train cpu-least true $cpu $least && near cpu-least least 1e-2 && train cpu-least2 true $cpu $least && rm -rf "$tmp/cpu-least2/checkpoint-20" &&
		train cpu-least2 true $cpu $least --resume-from-checkpoint auto && same cpu-least cpu-least2
	result $? "on the CPU nearly these losses, and from a checkpoint on the same bits"
	train exact true $cuda --deterministic && train exact2 true $cuda --deterministic && same exact exact2
	result $? "the same bits twice"
	rm -rf "$tmp/exact2/checkpoint-20"
	train exact2 true $cuda --deterministic --resume-from-checkpoint auto && same exact exact2
	result $? "the same bits from a checkpoint on"
	if [ -n "$AX_LONG$AX_TEST_DEVICE" ]; then
		train sync true env AX_CUDA_SYNC=1 $cuda --deterministic && same exact sync
		result $? "the same bits, waiting for each operation"
		train single true env AX_CUDA_GRAPHS=0 $cuda --deterministic && same exact single
		result $? "the same bits without recordings"
	fi
	# algorithms that were measured: the checkpoint's, though the cache is gone
	train tuned true $cuda && cp "$tmp/tuned/checkpoint-10/trainer_state.json" "$tmp/tuned.json" && rm -rf "$tmp/tuned/checkpoint-20" "$tmp/cache" &&
		train tuned true $cuda --resume-from-checkpoint auto && tuned_alike "$tmp/tuned.json" "$tmp/tuned/checkpoint-20/trainer_state.json"
	result $? "a resumed run keeps the algorithms of its checkpoint"
	if [ "$AX_TEST_DEVICE" != cuda ]; then
		for order in ${AX_LONG:+lazy ahead} random; do
			train $order true env CUDASIM_STREAMS=$order $cuda --deterministic && same exact $order
			result $? "the same bits, streams $order"
		done
	fi
	if [ -e "$BUILD/lib/ax/libax-mpi.so" ] && command -v ${mpirun%% *} >/dev/null 2>&1; then
		for ranks in 2 ${AX_LONG:+4}; do
			for strategy in ddp fsdp; do
				train $strategy$ranks false $mpirun -n $ranks $cuda --strategy $strategy && near cpu-f32 $strategy$ranks 1e-5
				result $? "f32, $ranks ranks, $strategy"
			done
		done
		train many true $mpirun -n 2 $cuda --strategy fsdp && near cpu-bf16 many 1e-2
		result $? "bf16, 2 ranks, fsdp"
		for strategy in ddp fsdp; do
			train cpu-grad-$strategy true $mpirun -n 2 $cpu --strategy $strategy --gradients bf16 && near cpu-bf16 cpu-grad-$strategy 1e-2
			result $? "bf16 gradients, 2 ranks on the CPU, $strategy"
			train grad-$strategy true $mpirun -n 2 $cuda --strategy $strategy --gradients bf16 && near cpu-bf16 grad-$strategy 1e-2
			result $? "bf16 gradients, 2 ranks, $strategy"
		done
	else
		n=$((n + 1))
		echo "ok $n - several ranks # SKIP no MPI"
	fi
}

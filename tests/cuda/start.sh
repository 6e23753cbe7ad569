#!/bin/sh
# What ax-train does before its first step on a GPU: the plan, with and without one; memory that does not suffice; which GPUs
# and which wire serve, and ranks that do not fit together. On the simulated GPU.
sim=$PWD/$BUILD/sim/bin/ax-train
[ -e "$BUILD/sim/lib/ax/libax-cuda.so" ] || { echo "ok 1 - start on a GPU # SKIP this build has no simulated GPU"; exit 0; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mpirun=${AX_MPIRUN:-mpirun --oversubscribe --bind-to none}
. tests/cuda/common
check() { # check NAME COMMAND...
	name=$1
	shift
	n=$((n + 1))
	if "$@"; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		sed 's/^/# /' "$tmp/out" "$tmp/err" >&2
	fi
}
says() { grep -q -- "$1" "$tmp/out"; }
warns() { grep -q -- "$1" "$tmp/err"; }
# ends STATUS COMMAND...
ends() {
	want=$1
	shift
	"$@" >"$tmp/out" 2>"$tmp/err"
	status=$?
	[ $status -eq "$want" ] || { echo "# status $status" >&2; return 1; }
}

bytes() { # bytes KEY FILE
	sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" "$tmp/$2"
}
# What the run took of the simulated GPU is what was planned without one, but for a few words (sums of norms) and what NCCL and
# the driver would take on a real one.
as_planned() {
	plan=$(($(bytes total plan.json) - $(bytes gpu_context plan.json) - $(bytes communication plan.json))) took=$(bytes gpu_memory_bytes run.json)
	echo "# planned $plan, taken $took"
	[ "$took" -ge "$plan" ] && [ $((took - plan)) -lt 16384 ]
}

example 60 64 "bf16: false" "learning_rate: 0.001" "max_steps: 1" "output_dir: $tmp/run"
run="-c $tmp/run.yaml --overwrite --threads 1 $tmp/shards"

# shellcheck disable=SC2086
{
	check "a plan for a GPU where there is none" ends 0 env CUDASIM_DEVICES=0 "$sim" $run --plan --device cuda --ranks 2
	check "says so" says 'no GPU here'
	check "and what is the GPU's and what the host's" says 'GPU memory of each of 2 ranks.*'
	check "a plan where there is no plugin" ends 0 env CUDA_VISIBLE_DEVICES= "$bin/ax-train" $run --plan --device cuda --ranks 2
	check "says so" says 'no GPU here'
	for model in "" "--bf16 true --gradient-checkpointing" "--bf16 true --moments bf16 --masters none --gradients bf16"; do
		check "a plan without a GPU${model:+, }$model" ends 0 env CUDA_VISIBLE_DEVICES= "$bin/ax-train" $run $model --plan --device cuda --device-memory 4GiB --json "$tmp/plan.json"
		check "a run" ends 0 env CUDASIM_SMS=132 "$sim" $run $model --device cuda --json "$tmp/run.json"
		check "takes what was planned" as_planned
		[ "${gradients:-0}" -gt 0 ] || gradients=$(bytes gradients plan.json)
	done
	check "gradients in bf16 are half of what they are in f32" [ "$gradients" -gt 0 -a $((2 * $(bytes gradients plan.json))) -eq "$gradients" ]
	check "auto without a GPU plans for the CPU" ends 0 env CUDASIM_DEVICES=0 "$sim" $run --plan
	check "says so" says '^memory of each'
	check "a plan on a GPU" ends 0 "$sim" $run --plan --device cuda
	check "says what it has" says 'free on this GPU'
	check "too little memory is refused before the first step" ends 5 env CUDASIM_MEMORY=30000000 "$sim" $run --device cuda
	check "with the remedy" warns 'micro_batch_size'
	check "and with what it would take" warns 'needs [0-9.]* [KMG]iB of .* and can have [0-9.]* MiB (weights .*, moments .*, gradients .*, activations .*)'
	check "the checkpoint that --overwrite would have removed is still there" [ -d "$tmp/run/checkpoint-1" ]
	check "and for an evaluation" ends 5 env CUDASIM_MEMORY=30000000 "$sim" $run --device cuda --eval-only
	check "a run says" ends 0 env CUDASIM_COMPUTE=90 "$sim" $run --device cuda --deterministic
	check "GPU, driver, libraries, precision, determinism" warns 'device: cuda (cudasim.*, sm_90, driver 13.*, CUDA 13.*, cuBLASLt 13.*); compute f32, .*; recomputation none; deterministic$'
	check "its memory by roles, and what is free" warns 'GPU memory planned for a rank: .* (weights .*, moments .*, gradients .*, activations .*); free beside the context: 3.*GiB'
	check "both conventions of MFU" warns 'step 1/1 .* mfu [0-9.]*% (unmasked [0-9.]*%)'
	check "another run says" ends 0 "$sim" $run --device cuda --bf16 true
	check "that it is not deterministic, and bf16" warns 'compute bf16, .*; not deterministic$'
	check "no GPU, cuda wanted" ends 6 env CUDASIM_DEVICES=0 "$sim" $run --device cuda
	check "no GPU, auto: trains" ends 0 env CUDASIM_DEVICES=0 "$sim" $run
	check "says so in one line" warns 'no NVIDIA GPU is visible: using the CPU'
}
if [ ! -e "$BUILD/lib/ax/libax-mpi.so" ] || ! command -v mpirun >/dev/null 2>&1; then
	echo "ok $((n + 1)) - several ranks # SKIP no MPI"
	exit 0
fi
# shellcheck disable=SC2086
{
	for model in "" "--bf16 true --gradients bf16"; do
		check "a plan without a GPU, two ranks${model:+, }$model" ends 0 env CUDA_VISIBLE_DEVICES= "$bin/ax-train" $run $model --strategy fsdp --plan --device cuda --device-memory 4GiB --ranks 2 --json "$tmp/plan.json"
		check "a run" ends 0 env CUDASIM_SMS=132 $mpirun -n 2 "$sim" $run $model --strategy fsdp --device cuda --json "$tmp/run.json"
		check "takes what was planned" as_planned
	done
	check "two GPUs" ends 0 $mpirun -n 2 "$sim" $run --device cuda
	check "talk by NCCL" warns 'communication: NCCL 2'
	check "too little memory on one of two ranks ends both" ends 5 $mpirun -n 1 "$sim" $run --device cuda : -n 1 env CUDASIM_MEMORY=30000000 "$sim" $run --device cuda
	check "with the rank that has too little" warns 'rank 1.* needs .* of the GPU.s memory'
	check "two ranks on one GPU" ends 0 env CUDASIM_DEVICES=1 $mpirun -n 2 "$sim" $run --device cuda
	check "talk through the host" warns 'communication: staged through the host over mpi (ranks share a GPU)'
	check "NCCL for one GPU is refused" ends 2 env AX_WIRE=nccl CUDASIM_DEVICES=1 $mpirun -n 2 "$sim" $run --device cuda
	check "with the two ranks" warns 'ranks 0 and 1 .* share GPU'
	check "AX_WIRE that is none" ends 2 env AX_WIRE=tcp $mpirun -n 2 "$sim" $run --device cuda
	check "AX_WIRE that differs" ends 2 $mpirun -n 1 env AX_WIRE=staged "$sim" $run --device cuda : -n 1 "$sim" $run --device cuda
	check "one rank without a GPU" ends 6 $mpirun -n 1 "$sim" $run : -n 1 env CUDASIM_DEVICES=0 "$sim" $run
	check "is named, and the other" warns 'rank 0 (.*) has a GPU, cuda.*; rank 1 (.*) has none'
}

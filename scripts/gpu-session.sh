#!/bin/sh
# What a first session on a machine with a GPU should do, in order, in stages that each end inside a limit.
# usage: scripts/gpu-session.sh OUT [STAGE...]
#	facts      the machine, the libraries, whether the plugin opens                              1 minute
#	check      the op suite and the other GPU tests (not under compute-sanitizer)                3
#	losses     training on the GPU against the CPU's losses, three precisions                    1
#	ops1       ceilings, matrix products, attention beside PyTorch                               4
#	ops2       norms, activation, rotary embedding, AdamW, head beside PyTorch (compiled)        5
#	step05 step15          training steps of 0.5B, 1.5B at T=1024, in two precisions, beside PyTorch    5, 7
#	step7                  the same of 7B, weights, moments and gradients in bf16                  8 (7B's first weights: 2 to 3)
#	step7masters           of 7B with f32 masters: 18 bytes a parameter, for a GPU of 141 GB        8
#	packed05 packed15 packed7    as the first three, documents packed into rows of 4,096         5, 7, 8
#	profile    time and share of each op in steps of 0.5B and of 4 layers of 7B                  3
#	sanitizer  the op suite under compute-sanitizer                                              9
# Without STAGE: facts check losses ops1 ops2. In OUT: session.log (all output), results.jsonl (measurements), table.md.
# LIMIT (570) is the seconds the whole call may take: a stage for which too little is left is named at the end and not begun;
# call again with those. Several OUT/results.jsonl make one table: bench/gpu/table.py show A.jsonl B.jsonl
# Programs are those of BUILD (build) if they run here, else of KIT (dist/gpu-kit.tar.gz, made elsewhere by make gpu-kit), else
# they are built, for this GPU alone. AX_PYTHON: a Python with torch and transformers (default: python3, if it has them).
[ $# -ge 1 ] || { sed -n '2,22s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ "${DEVICE:-cuda}" != cuda ] || nvidia-smi -L >/dev/null 2>&1 || { echo "gpu-session.sh: no NVIDIA GPU here (nvidia-smi finds none); a rehearsal: DEVICE=cpu PEER_DEVICE=cpu TINY=1" >&2; exit 2; }
[ -n "$AX_STAGE" ] || cd "$(dirname "$0")/.." || exit 1
mkdir -p "$1" || exit 1
OUT=$(cd "$1" && pwd)
shift
stages=${*:-facts check losses ops1 ops2}
limit=${LIMIT:-570}
start=$(date +%s)
log=$OUT/session.log
results=$OUT/results.jsonl
left() { echo $((limit - ($(date +%s) - start))); }

python=${AX_PYTHON:-$(command -v python3)}
[ -n "$AX_STAGE" ] || { [ -n "$python" ] && "$python" -c 'import torch, transformers' 2>/dev/null && AX_PYTHON=$python || AX_PYTHON=; }

works() { [ -x "$1/bin/ax-train" ] && [ -x "$1/bench/gpu/ops" ] && [ -f "$1/lib/ax/libax-cuda.so" ] && "$1/bin/ax-train" --version >/dev/null 2>&1; }
BUILD=${BUILD:-build}
KIT=${KIT:-dist/gpu-kit.tar.gz}
if ! works "$BUILD" && [ -f "$KIT" ]; then
	BUILD=build/gpu-kit
	rm -rf "$BUILD"
	mkdir -p build && tar -C build -xzf "$KIT" || exit 1
fi
if ! works "$BUILD"; then
	arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .)
	make -j"$(nproc)" all cuda check-bins SIM=0 CUDA_ARCH="${arch:-90}" BUILD="$BUILD" >>"$log" 2>&1 || { tail -20 "$log" >&2; exit 1; }
fi
export BUILD

# CUDA's libraries for our programs: the machine's, else those that came with Python's packages. Python keeps its own.
cuda_libs() {
	for lib in libcublasLt.so.13 libcublasLt.so.12 libnccl.so.2; do
		{ ls -d /usr/local/cuda/lib64/$lib /usr/local/cuda/lib/$lib /usr/lib/x86_64-linux-gnu/$lib 2>/dev/null
		[ -z "$python" ] || "$python" -c "import glob, sys; [print(f) for p in sys.path for f in glob.glob(p + '/nvidia/*/lib/$lib')]"; } | head -1
	done | xargs -r -n 1 dirname | sort -u | paste -sd: -
}
if [ -z "$AX_STAGE" ]; then
	if [ -n "$AX_PYTHON" ]; then
		mkdir -p build
		printf '#!/bin/sh\nexport LD_LIBRARY_PATH="%s"\nexec "%s" "$@"\n' "$LD_LIBRARY_PATH" "$AX_PYTHON" >build/peer-python
		chmod 755 build/peer-python
		AX_PYTHON=$PWD/build/peer-python
	fi
	CUDA_LIBS=$(cuda_libs)
	LD_LIBRARY_PATH=$CUDA_LIBS${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
	export LD_LIBRARY_PATH AX_PYTHON CUDA_LIBS
fi

[ ! -x "$BUILD/bin/mpirun" ] || export AX_MPIRUN="$PWD/$BUILD/bin/mpirun --oversubscribe --bind-to none"

gpu=${DEVICE:-cuda} # a rehearsal without a GPU: DEVICE=cpu PEER_DEVICE=cpu TINY=1
ops() { # ops GROUPS
	"${python:?ops need python3}" bench/gpu/table.py ops ${TINY:+--tiny --rounds 1} --out "$results" --groups "$1" --seconds "$(left)" --ours "$BUILD/bench/gpu/ops --device $gpu ${TINY:+--batch-ms 0}" \
		${AX_PYTHON:+--torch "$AX_PYTHON bench/gpu/torch_ops.py --device ${PEER_DEVICE:-$gpu} ${TINY:+--batch-ms 0 --no-compile}"}
}
shape() { [ -n "$TINY" ] && echo tiny || echo "$1"; }
step() { # step MODEL ROWS key=value...
	m=$(shape "$1") rows=$2
	shift 2
	sh bench/gpu/step.sh "$m" "$rows" "$results" device="$gpu" "$@"
}
run_stage() {
	case $1 in
	facts)
		uname -srm && grep -m1 'model name' /proc/cpuinfo && nproc && free -g | sed -n 2p && df -h . | tail -1
		nvidia-smi || :
		command -v nvcc ncu nsys compute-sanitizer ompi_info gcc || :
		[ -z "$python" ] || "$python" -c 'import torch, transformers; print("torch", torch.__version__, "transformers", transformers.__version__, "cuDNN", torch.backends.cudnn.version())' || :
		echo "programs: $BUILD; CUDA's libraries: $CUDA_LIBS"
		printf 'copy 64\nlinear_fwd 1024 1024 1024\n' | "$BUILD/bench/gpu/ops" --device "$gpu"
		;;
	check) AX_TEST_DEVICE=$gpu AX_NO_SANITIZER=1 sh tests/run.sh op gpu ;;
	losses) DEVICE=$gpu SMALL=$TINY sh tests/gpu/losses.sh ;;
	ops1) ops matmul,attention ;;
	ops2) ops memory,head ;;
	step05) step 0.5B 1024 deterministic=both ;;
	step15) step 1.5B 1024 deterministic=both ;;
	step7) step 7B 1024 steps=4 tokens=65536 precision=bf16 ;;
	step7masters) step 7B 1024 steps=4 tokens=65536 precision=masters recompute=full ;;
	packed05) step 0.5B 4096 ;;
	packed15) step 1.5B 4096 ;;
	packed7) step 7B 4096 steps=4 tokens=65536 precision=bf16 ;;
	profile)
		sh bench/gpu/profile.sh step "$(shape 0.5B)" 1024 device="$gpu" tokens=65536
		sh bench/gpu/profile.sh step "$(shape 7B)" 4096 device="$gpu" precision=bf16 layers=4 tokens=65536
		;;
	sanitizer) AX_TEST_DEVICE=$gpu sh tests/gpu/sanitizer.sh ;;
	*) echo "gpu-session.sh: no stage $1"; return 2 ;;
	esac
}
need() { # seconds without which a stage is not begun
	case $1 in facts | losses) echo 60 ;; check | profile) echo 150 ;; sanitizer) echo 120 ;; *) echo 180 ;; esac
}

if [ -n "$AX_STAGE" ]; then # one stage, in a process of its own that a limit can end
	run_stage "$AX_STAGE"
	exit
fi
skipped= failed=
for s in $stages; do
	if [ "$(left)" -lt "$(need "$s")" ]; then
		skipped="$skipped $s"
		continue
	fi
	began=$(date +%s)
	echo "=== $s" >>"$log"
	AX_STAGE=$s LIMIT=$(left) timeout -k 5 "$(left)" sh scripts/gpu-session.sh "$OUT" >>"$log" 2>&1
	case $? in 0) ;; 124 | 137) failed="$failed $s(limit)" ;; *) failed="$failed $s" ;; esac
	echo "=== $s: $(($(date +%s) - began)) s" | tee -a "$log"
done
[ ! -f "$results" ] || [ -z "$python" ] || "$python" bench/gpu/table.py show "$results" >"$OUT/table.md"
# what comes back is bounded
[ "$(wc -c <"$log")" -lt 16000000 ] || { tail -c 15000000 "$log" >"$log.end" && mv "$log.end" "$log"; }
[ ! -f "$OUT/table.md" ] || cat "$OUT/table.md"
tail -40 "$log"
[ -z "$failed" ] || echo "failed:$failed"
[ -z "$skipped" ] || echo "not begun, too little time: sh scripts/gpu-session.sh OUT$skipped"
[ -z "$failed$skipped" ]

#!/bin/sh
# make bench-gpu: ops and training steps on a GPU, beside PyTorch where AX_PYTHON names one; the table on stdout.
# usage: BUILD=build bench/gpu/run.sh [GROUPS [MODELS]]     peak,matmul,attention,memory,head    "0.5B 1.5B 7B" or none
here=$(dirname "$0")
build=${BUILD:-build}
out=$build/bench-gpu
groups=$1 models=${2:-0.5B 1.5B 7B}
python=${AX_PYTHON:-$(command -v python3)}
[ -n "$python" ] || { echo "bench-gpu: no python3, which asks and counts (PyTorch is asked for only if AX_PYTHON is set)" >&2; exit 2; }
mkdir -p "$out" || exit 1
rm -f "$out"/*.jsonl
"$python" "$here/table.py" ops --out "$out/ops.jsonl" ${groups:+--groups "$groups"} --ours "$build/bench/gpu/ops --device cuda" \
	${AX_PYTHON:+--torch "$AX_PYTHON $here/torch_ops.py --device cuda"} || exit 1
if [ -z "$groups" ] && [ "$models" != none ]; then
	for m in $models; do
		sh "$here/step.sh" "$m" 1024 "$out/steps.jsonl" deterministic=both
		sh "$here/step.sh" "$m" 4096 "$out/steps.jsonl"
	done
fi
"$python" "$here/table.py" show "$out"/*.jsonl | tee "$out/table.md"

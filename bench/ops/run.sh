#!/bin/sh
# Speed of each op of the CPU device beside a plain oneDNN product in the same run, one thread and all of them.
# usage: bench/ops/run.sh [N C NH NKV HD F V]     default: SmolLM2-135M at 1,024 tokens
set -e
cd "$(dirname "$0")/../.."
make bench
build/bench/ops/bench 1 "$@"
build/bench/ops/bench "$(nproc)" "$@"

#!/bin/sh
# Where the time goes on the GPU.
# usage: bench/gpu/profile.sh step MODEL ROWS [key=value...]   time and share of each op in training steps (settings: step.sh)
#	 bench/gpu/profile.sh op CASE [ARGUMENT...]            one op (bench/gpu/table.py list) under Nsight Compute, if it is there
# A step is run twice: the first run chooses and keeps the algorithms of its matrix products, the second is profiled. With
# Nsight Systems on the PATH and NSYS=1 the second runs under it. Whole models are saved at the end of a run: layers=4 for large ones.
[ $# -ge 2 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
here=$(dirname "$0")
build=${BUILD:-build}
what=$1
shift
case $what in
step)
	null=$(mktemp) || exit 1
	trap 'rm -f "$null"' EXIT
	model=$1 rows=$2
	shift 2
	sh "$here/step.sh" "$model" "$rows" "$null" sides=ax precision=masters steps=3 "$@" || exit 1
	if [ "${NSYS:-0}" = 1 ] && command -v nsys >/dev/null; then
		AX_RUNNER="nsys profile --stats=true --force-overwrite=true -o ${OUT:-$build}/step" sh "$here/step.sh" "$model" "$rows" "$null" sides=ax precision=masters steps=6 end=wait show=yes "$@"
	else
		AX_CUDA_PROFILE=1 sh "$here/step.sh" "$model" "$rows" "$null" sides=ax precision=masters steps=6 end=wait show=yes "$@"
	fi
	;;
op)
	ncu=$(command -v ncu || ls /usr/local/cuda/bin/ncu 2>/dev/null) || { echo "profile.sh: Nsight Compute (ncu) is not here; the op's time alone:" >&2; echo "$*" | "$build/bench/gpu/ops" --device cuda; exit; }
	# the clocks are left as they are; the first calls load kernels and choose algorithms
	echo "$*" | "$ncu" --clock-control none --set full --launch-skip "${SKIP:-8}" --launch-count "${COUNT:-8}" "$build/bench/gpu/ops" --device cuda --batch-ms 0 --samples 3
	;;
*) echo "profile.sh: step or op" >&2; exit 2 ;;
esac

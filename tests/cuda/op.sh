#!/bin/sh
# The op suite on the simulated GPU in other orders of threads and streams, which leave the same bits, and in its
# address-sanitizer and checker builds (tests/cudasim/README.md). make check has one other order, and the checker without
# most of attention, whose whole takes minutes; make check-long has all. The suite "op" has the plain order.
[ -e "$BUILD/sim/lib/ax/libax-cuda.so" ] || { echo "ok 1 - op suite, simulated GPU # SKIP not in this build"; exit 0; }
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
modes='sim:reverse:lazy sim-check:forward:eager'
if [ -n "$AX_LONG" ]; then
	modes='sim-asan:forward:eager sim-check:forward:eager'
	for threads in forward reverse random; do
		for streams in eager lazy ahead random; do modes="$modes sim:$threads:$streams"; done
	done
fi
n=0
# run NAME TEST [VARIABLE=VALUE...]: in the mode
run() {
	name="$mode $1" test=$BUILD/tests/op/$2
	shift 2
	n=$((n + 1)) preload=
	[ $device = sim-asan ] && preload=$(${CC:-gcc} -print-file-name=libasan.so)
	start=$(date +%s)
	# The interpreter's and cmocka's own leaks are not ours to find here. More drawn cases are for the suite "op": in the
	# checker's build they take most of an hour.
	if env -u AX_LONG ${preload:+LD_PRELOAD="$preload"} ASAN_OPTIONS=detect_leaks=0 AX_TEST_DEVICE=$device CUDASIM_THREADS="$threads" \
		CUDASIM_STREAMS="$streams" "$@" "$test" >"$tmp/log" 2>&1; then
		echo "ok $n - $name ($(($(date +%s) - start)) s)"
	else
		echo "not ok $n - $name"
		grep -vE '^ok' "$tmp/log" | head -20 | sed 's/^/# /'
	fi
}

# The bits that test_threads leaves in the plain order.
mode=sim:forward:eager device=sim threads=forward streams=eager
run "bits to compare with" test_threads AX_TEST_RECORD="$tmp/plain"
# Blocks of 99 KiB of shared memory at most, as GPUs of compute capability 8.6, 8.9 and 12.0 have.
run "attention in 99 KiB" test_attn AX_TEST_ONLY=instances CUDASIM_COMPUTE=86
for mode in $modes; do
	device=${mode%%:*} streams=${mode##*:} threads=${mode#*:}
	threads=${threads%:*}
	[ -e "$BUILD/$device/lib/ax/libax-cuda.so" ] || { n=$((n + 1)); echo "ok $n - $mode # SKIP not in this build"; continue; }
	for t in "$BUILD"/tests/op/test_*; do
		t=$(basename "$t")
		case $device:$t in
		*.o | *.d) ;;
		sim-check:test_attn | sim-check:test_threads)
			if [ -n "$AX_LONG" ]; then
				run "$t" "$t"
			elif [ "$t" = test_attn ]; then
				run "$t, differences" "$t" AX_TEST_ONLY=differences
				run "$t, many_segments" "$t" AX_TEST_ONLY=many_segments
			fi
			;;
		sim:test_threads)
			rm -f "$tmp/bits"
			run "$t" "$t" AX_TEST_RECORD="$tmp/bits"
			n=$((n + 1))
			cmp "$tmp/plain" "$tmp/bits" >"$tmp/log" 2>&1 && echo "ok $n - $mode: the same bits" || { echo "not ok $n - $mode: other bits"; sed 's/^/# /' "$tmp/log"; }
			;;
		*) run "$t" "$t" ;;
		esac
	done
done

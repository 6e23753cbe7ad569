#!/bin/sh
# The op suite on the simulated GPU in other orders of threads and streams, and in its address-sanitizer and checker builds
# (tests/cudasim/README.md). make check runs one other order, make check-long all. The suite "op" has the plain order.
[ -e "$BUILD/sim/lib/ax/libax-cuda.so" ] || { echo "ok 1 - op suite, simulated GPU # SKIP not in this build"; exit 0; }
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
modes='sim:reverse:lazy'
[ -n "$AX_LONG" ] && modes='sim:reverse:lazy sim:random:ahead sim:random:random sim-asan:forward:eager sim-check:forward:eager'
n=0
for mode in $modes; do
	device=${mode%%:*} streams=${mode##*:} threads=${mode#*:}
	threads=${threads%:*}
	[ -e "$BUILD/$device/lib/ax/libax-cuda.so" ] || { n=$((n + 1)); echo "ok $n - $mode # SKIP not in this build"; continue; }
	preload=
	[ $device = sim-asan ] && preload=$(${CC:-gcc} -print-file-name=libasan.so)
	for t in "$BUILD"/tests/op/test_*; do
		case $t in *.o | *.d) continue ;; esac
		n=$((n + 1))
		# the interpreter's and cmocka's own leaks are not ours to find here
		if env ${preload:+LD_PRELOAD="$preload"} ASAN_OPTIONS=detect_leaks=0 AX_TEST_DEVICE=$device CUDASIM_THREADS="$threads" \
			CUDASIM_STREAMS="$streams" "$t" >"$log" 2>&1; then
			echo "ok $n - $mode $(basename "$t")"
		else
			echo "not ok $n - $mode $(basename "$t")"
			grep -vE '^ok' "$log" | head -20 | sed 's/^/# /'
		fi
	done
done

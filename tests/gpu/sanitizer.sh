#!/bin/sh
# The op suite on a GPU under compute-sanitizer's four tools, where the machine allows it. Needs AX_TEST_DEVICE=cuda.
# A test may be a script that ends in the program (make gpu-kit): all processes are watched, and a run without a summary has
# watched nothing. That calls fail is what some tests are about.
[ "$AX_TEST_DEVICE" = cuda ] || { echo "ok 1 - compute-sanitizer # SKIP no GPU is tested"; exit 0; }
[ -z "$AX_NO_SANITIZER" ] || { echo "ok 1 - compute-sanitizer # SKIP AX_NO_SANITIZER is set"; exit 0; }
tool=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
[ -n "$tool" ] || { echo "ok 1 - compute-sanitizer # SKIP it is not installed"; exit 0; }
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
n=0
# A machine that does not let it attach says so on the smallest program.
if ! "$tool" --error-exitcode 9 "$BUILD/tests/op/test_device" >"$log" 2>&1 && grep -qiE 'not supported|unable to|insufficient permission|error 999' "$log"; then
	echo "ok 1 - compute-sanitizer # SKIP this machine does not allow it: $(grep -iE -m1 'not supported|unable to|insufficient permission|error 999' "$log")"
	exit 0
fi
for check in memcheck racecheck initcheck synccheck; do
	for t in device elem linear head attn adamw empty; do
		n=$((n + 1))
		api=
		[ $check != memcheck ] || api="--report-api-errors no"
		# shellcheck disable=SC2086
		if timeout 900 "$tool" --target-processes all --tool $check $api --error-exitcode 9 "$BUILD/tests/op/test_$t" >"$log" 2>&1 &&
			grep -qE '(ERROR|RACECHECK) SUMMARY' "$log"; then
			echo "ok $n - $check, test_$t"
		else
			echo "not ok $n - $check, test_$t"
			grep -E '^=========|not ok' "$log" | head -40 | sed 's/^/# /'
		fi
	done
done

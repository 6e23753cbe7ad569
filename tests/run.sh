#!/bin/sh
# Run the test suite and end with "N passed, N failed, N skipped".
# A test is an executable that prints TAP lines: "ok", "not ok", "ok ... # SKIP reason". One that prints no line, or
# ends by a signal or with a non-zero status without a "not ok", counts as one failure. Lines that begin with "#=" are figures,
# which are shown.
# usage: BUILD=build tests/run.sh [suite...]     suites: lint unit op dist fault cli parity fuzz cuda (default: these) gpu
: "${BUILD:=build}"
limit=${AX_TEST_TIMEOUT:-900} # seconds for one test
[ -n "$AX_LONG" ] && limit=${AX_TEST_TIMEOUT:-3600}
export BUILD
export CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:allocator_may_return_null=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1:exitcode=99}"
passed=0 failed=0 skipped=0
log=$(mktemp -d) || exit 1
trap 'rm -rf "$log"' EXIT
suites=${*:-lint unit op dist fault cli parity fuzz cuda}

run() { # run NAME COMMAND...
	name=$1
	shift
	start=$(date +%s)
	timeout "$limit" "$@" >"$log/out" 2>"$log/err"
	status=$?
	p=$(grep -c '^ok' "$log/out")
	s=$(grep -c '^ok.*# SKIP' "$log/out")
	f=$(grep -c '^not ok' "$log/out")
	p=$((p - s))
	[ "$f" -eq 0 ] && { [ "$status" -ne 0 ] || [ $((p + s)) -eq 0 ]; } && f=1
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	if [ "$f" -ne 0 ]; then
		printf 'FAIL %s (status %d)\n' "$name" "$status"
		grep -A12 '^not ok' "$log/out" | head -60
		tail -n 30 "$log/err"
	else
		printf 'ok   %-40s %3d passed%s  %ds\n' "$name" "$p" "$([ "$s" -gt 0 ] && printf ', %d skipped' "$s")" $(($(date +%s) - start))
		grep '# SKIP' "$log/out" | sed 's/^/       /' | head -5
		sed -n 's/^#=/      /p' "$log/out"
	fi
}

for suite in $suites; do
	case $suite in
	unit | op | dist | fault | parity)
		for t in "$BUILD"/tests/$suite/test_*; do
			[ -x "$t" ] && [ ! -d "$t" ] && case $t in *.o | *.d) ;; *) run "$suite/$(basename "$t")" "$t" ;; esac
		done
		for t in tests/$suite/*.sh; do
			[ -f "$t" ] && run "$suite/$(basename "$t")" sh "$t"
		done
		;;
	cli) [ -f tests/cli/run.sh ] && run cli sh tests/cli/run.sh ;;
	fuzz) [ -f tests/fuzz/replay.sh ] && run fuzz sh tests/fuzz/replay.sh ;;
	gpu) # of a real one: AX_TEST_DEVICE=cuda
		for t in "$BUILD"/gpu/test_* tests/gpu/*.sh tests/cuda/train.sh; do
			case $t in
			*.sh) [ -f "$t" ] && run "gpu/$(basename "$t")" sh "$t" ;;
			*) [ -x "$t" ] && run "gpu/$(basename "$t")" "$t" ;;
			esac
		done
		;;
	cuda) # the tests on the simulated GPU, in each flavour and order
		for t in "$BUILD"/cudasim/*/test_*; do
			case $t in */test_speed) [ -n "$AX_LONG" ] || continue ;; esac # it only measures
			[ -x "$t" ] && run "cuda/${t#"$BUILD"/cudasim/}" "$t"
		done
		for t in tests/cuda/*.sh; do
			[ -f "$t" ] && run "cuda/$(basename "$t")" sh "$t"
		done
		;;
	lint)
		for t in tests/lint/*.sh; do
			[ -f "$t" ] && run "lint/$(basename "$t")" sh "$t"
		done
		;;
	esac
done
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]

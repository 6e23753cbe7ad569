#!/bin/sh
# Fuzz for a while: a line a target with executions, features reached and findings. Called by make fuzz.
# usage: BUILD=build-... tests/fuzz/run.sh SECONDS JOBS [TARGET...]     default: all targets
# What is new is kept in $BUILD/fuzz/TARGET/corpus for the next run; findings and logs lie beside it. Status 1: findings.
seconds=$1 jobs=$2
shift 2
[ $# -gt 0 ] || set -- $(for f in tests/fuzz/fuzz_*.c; do f=${f##*/fuzz_}; echo "${f%.c}"; done)
export BUILD seconds
export ASAN_OPTIONS="${ASAN_OPTIONS:-allocator_may_return_null=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}"
one='name=$0 dir=$BUILD/fuzz/$0
	mkdir -p "$dir/corpus" "$dir/findings"
	dict=tests/fuzz/dict/$name
	[ -f "$dict" ] && dict=-dict=$dict || dict=
	"$BUILD/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=25 -rss_limit_mb=2560 -print_final_stats=1 $dict \
		-artifact_prefix="$dir/findings/" "$dir/corpus" "tests/fuzz/corpus/$name" >"$dir/log" 2>&1
	status=$?
	runs=$(sed -n "s/^stat::number_of_executed_units: *//p" "$dir/log")
	ft=$(sed -n "s/.* ft: \([0-9]*\).*/\1/p" "$dir/log" | tail -n 1)
	n=$(ls "$dir/findings" | wc -l)
	[ "$status" -eq 0 ] || [ "$n" -gt 0 ] || n="status $status,"
	printf "%-12s %10s executions %8s features %s findings\n" "$name" "${runs:-?}" "${ft:-?}" "$n"
	[ "$status" -eq 0 ] && [ "$n" -eq 0 ] || { tail -n 40 "$dir/log" >&2; exit 1; }'
printf '%s\n' "$@" | xargs -n 1 -P "$jobs" sh -c "$one"

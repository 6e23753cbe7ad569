#!/bin/sh
# Replay each fuzz target's corpus (tests/fuzz/corpus/NAME/): a crash, a sanitizer report or a hang fails.
n=0
for src in tests/fuzz/fuzz_*.c; do
	[ -f "$src" ] || { echo "ok 1 - no targets # SKIP no fuzz targets"; exit 0; }
	n=$((n + 1))
	name=$(basename "$src" .c)
	corpus=tests/fuzz/corpus/${name#fuzz_}
	if timeout 120 "$BUILD/tests/fuzz/$name" "$corpus" >&2; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
	fi
done

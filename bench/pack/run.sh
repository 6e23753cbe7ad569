#!/bin/sh
# Packing: rows per second, fill and excess over the lower bound, memory beside the input; one thread.
# usage: bench/pack/run.sh [ROWS]      default 10^7; the goal is stated for 10^9 (4 GB of lengths)
#
# Goals: 10^9 rows in 30 s and 32 MiB beside the input; packs <= lower bound x 1.0002 + 1 on the sets of mostly short
# rows (tulu, hermes), <= whole-file best fit decreasing x 1.0002 + 1 on the others (ultrachat, reasoning).
n=${1:-10000000}
bin=${BUILD:-build}/bench/pack/bench
[ -x "$bin" ] || { echo "build first: make bench" >&2; exit 2; }
while read -r name mean sigma len; do
	for window in 65536 0; do
		[ "$window" = 0 ] && [ "$n" -gt 100000000 ] && continue
		printf '%s\t' "$name"
		"$bin" "$n" "$mean" "$sigma" "$len" "$window" || exit
	done
done <<END
tulu 764 1.0 4096
hermes 437 0.9 4096
ultrachat 1343 0.5 4096
reasoning 5771 0.7 16384
long 2000 1.2 131072
END

#!/bin/sh
# 10 MB of one thing in one document. usage: bench/tokenize/worst.sh TOKENIZERS [NAME...]
# Prints MB/s by tokenizer (all folders that have a tokenizer.json we read, or those named) and case; the goal is 20.
bin=${BUILD:-build}/bench/tokenize/bench
[ -x "$bin" ] && [ $# -ge 1 ] || { sed -n 2,3p "$0" >&2; exit 2; }
folder=$1
shift
[ $# -gt 0 ] || set -- $(cd "$folder" && ls)
newline='
'
printf '  %-24s %7s %7s %7s %7s %7s %7s %7s\n' '' letter spaces newline emoji digits CJK abab
low=0
for model; do
	"$bin" -q -x -n 100 "$folder/$model" x >/dev/null 2>&1 || continue
	printf '  %-24s' "$model"
	for what in a ' ' "$newline" '😀' 7 中 ab; do
		speed=$("$bin" -q -x "$folder/$model" "$what" | awk -F'\t' '{ printf "%.0f", $4 }')
		[ "${speed:-0}" -ge 20 ] || low=$((low + 1))
		printf ' %7s' "${speed:--}"
	done
	echo
done
echo "  below 20 MB/s: $low"

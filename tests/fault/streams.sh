#!/bin/sh
# Fail the n-th system call on files, then the n-th allocation, of ax-pack and ax-shard, for n = 1, 2, ... until runs get
# through (5 in a row: some allocations may fail without harm). Each failed run must end by itself with a known status and a message, leave no temporary file, and
# leave the old output as it was.
stride=2 # a sample, as in tools.sh
[ -n "$AX_LONG" ] && stride=1
bin=$(cd "${BUILD:-build}/faults/bin" && pwd) || exit 1
seeds=$(cd tests/fuzz/corpus/stream && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
TMPDIR=$work/tmp
export TMPDIR
mkdir tmp
test=0 bad=0

say() { # say STATUS NAME [WHY]
	test=$((test + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $test - $2"
	else
		echo "not ok $test - $2"
		echo "# $3"
		bad=1
	fi
}

judge() { # judge STATUS: what is wrong with this failed run; nothing printed if all is well
	[ "$1" -le 6 ] || { echo "ended with status $1"; return; }
	[ -s err ] || { echo "failed with status $1 and said nothing"; return; }
	[ -z "$(ls -A tmp)" ] || { echo "left $(ls -A tmp) behind"; return; }
	if diff -r out.good out >/dev/null 2>&1; then
		rm -rf out.old-* # kept when the rename could not be made durable
	elif ! diff -r out.before out >/dev/null 2>&1; then
		echo "the output is neither the old nor the new one"
		return
	fi
	for f in *.tmp-* *.old-*; do
		[ -e "$f" ] && { echo "left $f behind"; return; }
	done
}

loop() { # loop VARIABLE NAME COMMAND...; the command writes "out"
	variable=$1 name=$2
	shift 2
	n=1 why= through=0 failed=0
	rm -rf out out.good && cp -R out.before out
	"$@" >/dev/null && mv out out.good
	while [ $n -lt 3000 ]; do
		rm -rf out && cp -R out.before out
		env "$variable=$n" "$@" >/dev/null 2>err
		status=$?
		if [ $status -eq 0 ]; then
			through=$((through + 1))
			diff -r out.good out >/dev/null 2>&1 || why="succeeded with another output"
		else
			through=0 failed=$((failed + 1))
			why=$(judge $status)
		fi
		[ -n "$why" ] || [ $through -ge 5 ] && break
		n=$((n + stride))
	done
	[ $n -lt 3000 ] || why="no end"
	[ -z "$why" ] || why="$variable=$n: $why; $(head -1 err)"
	[ -z "$why" ]
	say $? "$name, $variable, $failed failures" "$why"
}

for variable in AX_FAIL_IO AX_FAIL_ALLOC; do
	rm -rf out.before && echo old >out.before
	loop $variable ax-pack "$bin/ax-pack" -q --no-provenance --seq-len 32 -o out "$seeds/tokens-16"
	rm -rf out.before && echo old >out.before
	loop $variable "ax-pack --compress" "$bin/ax-pack" -q --no-provenance --seq-len 64 --compress 1 -o out "$seeds/tokens-32-zstd"
	rm -rf out.before && "$bin/ax-shard" -q -o out.before "$seeds/packs"
	loop $variable ax-shard "$bin/ax-shard" -q --no-provenance --ranks 2 -o out "$seeds/packs"
done
echo "1..$test"
exit $bad

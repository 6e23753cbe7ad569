#!/bin/sh
# kill -9 the data tools and ax-merge at random moments: what they were to publish is absent, the old one, or complete. What a
# kill leaves behind disturbs no later run; SIGTERM and SIGINT leave nothing behind.
bin=$(cd "${BUILD:-build}/bin" && pwd) || exit 1
src=$PWD
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
moments=8
[ -n "$AX_LONG" ] && moments=200
test=0 bad=0
seed=7

say() { # say NAME: passes if the file why is empty
	test=$((test + 1))
	if [ -s why ]; then
		echo "not ok $test - $1"
		sed 's/^/# /' why
		bad=1
	else
		echo "ok $test - $1"
	fi
}

random() { # random N: the next of a fixed sequence, 0 to N - 1
	seed=$(((seed * 16807) % 2147483647))
	result=$((seed % $1))
}

# torn NAME OUT COMMAND...: once undisturbed, measured; then killed at moments spread over that time and a little more
torn() {
	name=$1 out=$2
	shift 2
	rm -rf "$out"* good
	begin=$(date +%s%N)
	"$bin/$@" 2>err || { cat err >why; say "$name runs"; return; }
	length=$((($(date +%s%N) - begin) * 6 / 5000000 + 5)) # milliseconds
	cp -R "$out" good
	: >why
	i=0 killed=0 absent=0
	while [ $killed -lt $moments ] && [ $i -lt $((4 * moments)) ]; do
		i=$((i + 1))
		random 2
		[ $result -eq 0 ] && rm -rf "$out" # else it replaces the good one
		random $length
		"$bin/$@" 2>err &
		pid=$!
		sleep "$(printf '%d.%03d' $((result / 1000)) $((result % 1000)))"
		kill -9 $pid 2>/dev/null
		wait $pid 2>/dev/null
		[ $? -eq 137 ] && killed=$((killed + 1))
		if [ ! -e "$out" ]; then
			absent=$((absent + 1))
		elif ! diff -r good "$out" >/dev/null 2>&1; then
			echo "kill $i left another $out" >>why
		fi
	done
	[ $killed -gt 0 ] || echo "no run was killed" >>why
	"$bin/$@" 2>err || sed 's/^/then: /' err >>why
	for f in "$out".tmp-*; do
		[ -e "$f" ] && echo "the next run let $f lie" >>why
	done
	diff -r good "$out" >/dev/null 2>&1 || echo "the run after the kills made another $out" >>why
	say "$name: killed $killed times of $i, $absent left nothing"

	: >why
	for signal in TERM INT TERM INT TERM INT; do
		rm -rf "$out"*
		# a job of a shell without job control ignores SIGINT: env gives it back
		env --default-signal=INT "$bin/$@" 2>err &
		pid=$!
		i=0
		until ls "$out".tmp-* >/dev/null 2>&1 || [ $i -gt 500 ]; do
			i=$((i + 1))
			kill -0 $pid 2>/dev/null || break
		done
		kill -$signal $pid 2>/dev/null
		wait $pid
		status=$?
		for f in "$out".tmp-* "$out".old-*; do
			[ -e "$f" ] && echo "SIG$signal left $f behind" >>why
		done
		case $status in
		0) [ -e "$out" ] || echo "succeeded without $out" >>why ;;
		143 | 130) [ -e "$out" ] && ! diff -r good "$out" >/dev/null 2>&1 && echo "SIG$signal left a partial $out" >>why ;;
		*) echo "SIG$signal ended it with status $status" >>why ;;
		esac
	done
	say "$name: SIGTERM, SIGINT"
	rm -rf "$out"* && mv good "$out"
}

# begin OUT COMMAND...: start it on the first bytes of t.in and wait for its temporary, which is $first then
begin() {
	out=$1
	shift
	rm -f fifo && mkfifo fifo
	"$bin/$@" fifo 2>err.first &
	pid=$!
	exec 4>fifo
	head -c 2000 t.in >&4
	i=0
	until ls -d "$out".tmp-* >/dev/null 2>&1 || [ $i -gt 3000 ]; do
		i=$((i + 1))
		sleep 0.01
	done
	first=$(ls -d "$out".tmp-*)
	[ -e "$first" ] || echo "no temporary appeared" >>why
}

# left NAME OUT COMMAND...: what a killed run leaves goes with the next one, and what a run that lives has begun does not;
# nor does what only looks like it
left() {
	name=$1
	shift
	: >why
	rm -rf "$1"*
	begin "$@"
	kill -9 $pid
	wait $pid 2>/dev/null
	exec 4>&-
	shift
	[ -e "$first" ] || echo "nothing was left" >>why
	"$bin/$@" t.in 2>err || sed 's/^/after the kill: /' err >>why
	[ -e "$first" ] && echo "$first is still there" >>why
	grep -q "removed $first" err || echo "removed without a word" >>why
	say "$name: what a killed run left is removed"

	: >why
	rm -rf "$out"*
	begin "$out" "$@"
	for f in "$out.tmp-00000000-1" "${first}x" "${first%-*}" "other-$first"; do
		echo keep >"$f"
	done
	"$bin/$@" t.in 2>err || sed 's/^/the second run: /' err >>why
	for f in "$first" "$out.tmp-00000000-1" "${first}x" "${first%-*}" "other-$first"; do
		[ -e "$f" ] || echo "it removed $f" >>why
	done
	tail -c +2001 t.in >&4
	exec 4>&-
	wait $pid || sed 's/^/the first run: /' err.first >>why
	[ -e "$first" ] && echo "$first is left" >>why
	"$bin/ax-view" -q --check "$out" >/dev/null 2>err || cat err >>why
	rm -rf "$out"* other-*
	say "$name: two runs with one output"
}

ln -s "$src/examples/arith/model" model # a word without spaces, wherever the tree lies
awk -v n=20000 -v seed=3 -f "$src/examples/arith/gen.awk" >rows.jsonl
tokenize="ax-tokenize -q --no-provenance --model model --type chat_template --sequence-len 64 --sample-packing true"
torn ax-tokenize t.axt $tokenize -o t.axt rows.jsonl
torn ax-pack t.axp ax-pack -q --no-provenance -o t.axp t.axt
torn ax-shard shards ax-shard -q --no-provenance --ranks 3 -o shards t.axp
cp t.axt t.in && left ax-pack u.axp ax-pack --no-provenance -o u.axp
cp t.axp t.in && left ax-shard two ax-shard --no-provenance --ranks 2 -o two
"$bin/ax-train" -q --base-model model --reinit-weights --learning-rate 1e-3 --max-steps 1 --output-dir run shards || bad=1
torn ax-merge merged ax-merge -q --dtype f32 run merged
"$bin/ax-view" -q --check t.axt t.axp shards merged >err 2>&1 && : >why || cp err why
say "all of it is sound"
echo "1..$test"
exit $bad

#!/bin/sh
# Signals of the data tools: TERM and HUP remove what is unfinished and kill; a closed pipe kills; USR1 prints the status.
bin=$(cd "${BUILD:-build}/bin" && pwd) || exit 1
[ -x "$bin/ax-pack" ] && [ -x "$bin/ax-shard" ] || { echo "ok 1 - signals # SKIP no ax-pack"; exit 0; }
seeds=$(cd tests/fuzz/corpus/stream && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
test=0 bad=0

say() { # say NAME WHY: an empty reason is a pass
	test=$((test + 1))
	if [ -z "$2" ]; then
		echo "ok $test - $1"
	else
		echo "not ok $test - $1"
		echo "# $2"
		bad=1
	fi
}

wait_for() { # wait_for PATTERN: until a file of that name exists, at most 10 s
	i=0
	while [ $i -lt 200 ]; do
		for f in $1; do
			[ -e "$f" ] && return 0
		done
		sleep 0.05
		i=$((i + 1))
	done
	return 1
}

copies=0
while [ $copies -lt 9 ]; do # 512 streams end to end are one stream
	cat "$seeds/tokens-16" "$seeds/tokens-16" >double 2>/dev/null
	[ -f many ] && cat many many >double
	mv double many
	copies=$((copies + 1))
done

for signal in TERM HUP; do
	for tool in pack shard; do
		mkfifo fifo
		if [ $tool = pack ]; then
			"$bin/ax-pack" -q --seq-len 32 -o out <fifo 2>err &
			seed=$seeds/tokens-16
		else
			"$bin/ax-shard" -q -o out <fifo 2>err &
			seed=$seeds/packs
		fi
		pid=$!
		exec 3>fifo
		head -c 700 "$seed" >&3
		why=
		wait_for 'out.tmp-*' || why="no temporary output appeared"
		kill -$signal $pid
		wait $pid
		status=$?
		exec 3>&-
		[ "$(kill -l $status)" = $signal ] || why="ended with status $status"
		for f in out out.tmp-*; do
			[ -e "$f" ] && why="left $f behind"
		done
		say "ax-$tool, SIG$signal" "$why"
		rm -rf fifo out*
	done
done

("$bin/ax-pack" -q --seq-len 32 many; echo $? >status) 2>err | head -c 100 >/dev/null
status=$(cat status)
[ "$(kill -l "$status")" = PIPE ] && why= || why="ended with status $status"
[ -s err ] && why="said: $(head -1 err)"
say "closed pipe" "$why"

mkfifo fifo
"$bin/ax-pack" --seq-len 32 <fifo 2>err >out &
pid=$!
exec 3>fifo
cat "$seeds/tokens-16" >&3
sleep 0.3
kill -USR1 $pid
sleep 0.2
cat "$seeds/tokens-16" >&3
exec 3>&-
wait $pid
status=$?
[ $status -eq 0 ] && grep -q 'rows.*tokens/s' err && why= || why="status $status; $(cat err)"
say "SIGUSR1 prints the status" "$why"
echo "1..$test"
exit $bad

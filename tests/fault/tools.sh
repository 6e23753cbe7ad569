#!/bin/sh
# Fail the n-th allocation, then the n-th call on a file, of every tool, for n = 1, 2, ... until a run ends without a fault.
# Every run must succeed with the very output of an undisturbed one, or end with the status of its class (5 memory, 4 files)
# and a message; then what it was to publish is absent or complete, and no temporary file is left. Checked by the plain tools.
# make check tries a sample of n (AX_LONG=1: all, and with every later call failing too). NAMES limits the tools.
faults=$(cd "${BUILD:-build}/faults/bin" && pwd) || exit 1
bin=$(cd "${BUILD:-build}/bin" && pwd) || exit 1
src=$PWD
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
mkdir tmp
export TMPDIR="$work/tmp"
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1}:exitcode=99"
stride=${AX_FAULT_STRIDE:-3}
[ -n "$AX_LONG" ] && stride=1
test=0 bad=0

judge() { # judge STATUS CLASS PUBLISHED GOOD: what is wrong with this run; nothing printed if all is well
	if [ "$1" -eq 0 ]; then
		[ "$3" = - ] || diff -r "$4" "$3" >/dev/null 2>&1 || echo "succeeded with another output"
	elif [ "$1" -ne "$2" ]; then
		echo "ended with status $1, not $2"
	else
		grep -v '^ax-fault:' err | grep -q . || echo "said nothing"
		[ "$3" = - ] || [ ! -e "$3" ] || diff -r "$4" "$3" >/dev/null 2>&1 || echo "published something else"
	fi
	[ -z "$keep" ] || return # then removing fails too
	[ -z "$(ls -A tmp)" ] || echo "left $(ls -A tmp) behind"
	grep -q 'warning:.*an old checkpoint stays' err || find . \( -name '*.tmp*' -o -name '*.old-*' \) | sed 's/^/left behind: /'
}

# loop NAME PUBLISHED COMMAND...: the command writes to the folder "out"; PUBLISHED is what must be absent or complete, or -
loop() {
	name=$1 published=$2
	shift 2
	case ",${NAMES:-$name}," in *",$name,"*) ;; *) return ;; esac
	rm -rf out good && mkdir out
	"$faults/$@" >stdout 2>err </dev/null || { test=$((test + 1)) bad=1; echo "not ok $test - $name runs"; sed 's/^/# /' err; return; }
	cp -R out good
	cp stdout stdout.good
	for class in 5 4; do
		for keep in '' ${AX_LONG:+1}; do
			variable=AX_FAIL_ALLOC
			[ $class -eq 4 ] && variable=AX_FAIL_IO
			n=1 failed=0 survived=0 wrong=0
			: >why
			while [ $wrong -lt 5 ]; do
				rm -rf out && mkdir out
				env $variable=$n ${keep:+AX_FAIL_KEEP=1} timeout 60 "$faults/$@" >stdout 2>err </dev/null
				status=$?
				grep -q '^ax-fault:' err || break
				judge $status $class "$published" "good${published#out}" >found
				if [ -s found ]; then
					wrong=$((wrong + 1))
					sed "s/^/# $variable=$n: /" found >>why
					tail -n "${AX_FAULT_LINES:-2}" err | sed 's/^/#     /' >>why
				fi
				if [ $status -eq 0 ]; then survived=$((survived + 1)); else failed=$((failed + 1)); fi
				n=$((n + stride))
			done
			[ $wrong -gt 0 ] || [ $status -eq 0 ] || echo "# status $status without a fault" >>why
			[ $failed -gt 0 ] || echo "# no run failed" >>why
			test=$((test + 1)) verdict=ok
			[ -s why ] && verdict="not ok" bad=1
			echo "$verdict $test - $name, $variable${keep:+ and all later}: $failed failed, $survived did without"
			cat why
		done
	done
}

# Small data: a dozen conversations, a decoder of a few thousand weights, a checkpoint of one step.
model=$src/examples/arith/model
awk -v n=12 -v seed=5 -f "$src/examples/arith/gen.awk" >rows.jsonl
mkdir model && cp "$model"/tokenizer* model
sed 's/"hidden_size": *[0-9]*/"hidden_size": 16/; s/"intermediate_size": *[0-9]*/"intermediate_size": 16/
	s/"num_hidden_layers": *[0-9]*/"num_hidden_layers": 1/; s/"head_dim": *[0-9]*/"head_dim": 4/' "$model/config.json" >model/config.json
tokenize="ax-tokenize --model model --type chat_template --sequence-len 64 --sample-packing true --threads 1"
train="ax-train --base-model model --reinit-weights --learning-rate 1e-3 --max-steps 2 --save-steps 1 --save-total-limit 1 --threads 1"
"$bin/"$tokenize -q --no-provenance -o t.axt rows.jsonl && "$bin/ax-pack" -q --no-provenance -o t.axp t.axt &&
	"$bin/ax-shard" -q --no-provenance -o shards t.axp && "$bin/"$train -q --output-dir run shards || {
	echo "not ok 1 - small data"
	exit 1
}

echo '[1, 399, 201, 300]' >ids.jsonl
loop ax-tokenize out/t.axt $tokenize -q -o out/t.axt rows.jsonl
loop ax-pack out/t.axp ax-pack -q --no-provenance -o out/t.axp t.axt
loop ax-shard out/shards ax-shard -q --no-provenance --ranks 2 -o out/shards t.axp
loop ax-train out/checkpoint-2 $train -q --output-dir out shards
loop ax-merge out/merged ax-merge -q run out/merged
loop ax-view-stream - ax-view --check t.axt t.axp
loop ax-tokenize-diff - ax-tokenize --model model --type chat_template --mask-diff --threads 1 --json list rows.jsonl
loop ax-tokenize-decode - ax-tokenize --model model --decode ids.jsonl
loop ax-view-summary - ax-view --summary t.axt shards
loop ax-view-text - ax-view --text --json text t.axt shards
loop ax-view-folders - ax-view --check shards run/checkpoint-2
echo "1..$test"
exit $bad

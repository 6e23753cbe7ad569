#!/bin/sh
# One of two ranks runs out of memory, or a file call of its fails: both end, soon and with that status, somebody says why, and
# what is called checkpoint-N is complete. make check tries a few moments, AX_LONG=1 every third up to a run without a fault.
. tests/fault/common
have_mpi || { echo "ok 1 - rank faults # SKIP no MPI"; exit 0; }
faults=$PWD/$BUILD/faults/bin
limit=30
make_run 32 1 || { not_ok "shards"; exit 1; }
sed -i 's/max_steps: 12/max_steps: 2/' "$tmp/run.yaml"

# pair RANK VARIABLE N: that rank of two with the fault
pair() {
	set -- "$1" "$2=$3" "$faults/ax-train" -q -c "$tmp/run.yaml" --output-dir "$tmp/out" --global-batch 6 --threads 1 --save-steps 1 "$tmp/shards"
	rank=$1 fault=$2
	shift 2
	one="env $fault" two=
	[ "$rank" -eq 0 ] || { one='' two="env $fault"; }
	timeout 120 $mpirun -n 1 $one "$@" : -n 1 $two "$@" 2>"$tmp/err" >&2
}

torn() {
	for c in "$tmp"/out/checkpoint-*; do
		case $c in *.tmp | *'*') continue ;; esac
		"$bin/ax-view" -q --check "$c" >/dev/null 2>&1 || echo "# torn: $c"
	done
}

for variable in AX_FAIL_IO AX_FAIL_ALLOC; do
	class=4 moments="18 43 60"
	[ $variable = AX_FAIL_ALLOC ] && class=5 moments="46 80 150"
	[ -n "$AX_LONG" ] && moments=$(seq 1 3 1000)
	for rank in 0 1; do
		wrong='' tried=0 slowest=0
		for at in $moments; do
			rm -rf "$tmp/out"
			begin=$(date +%s)
			pair $rank $variable "$at"
			status=$?
			took=$(($(date +%s) - begin))
			[ $took -gt $slowest ] && slowest=$took
			grep -q '^ax-fault:' "$tmp/err" || break
			tried=$((tried + 1))
			[ $status -eq 0 ] || [ $status -eq $class ] || wrong="status $status"
			[ $status -eq 0 ] || grep -q 'ax-train: .*error: ' "$tmp/err" || wrong="nothing said"
			[ $took -le $limit ] || wrong="took $took s"
			[ -z "$(torn)" ] || wrong=$(torn)
			[ -z "$wrong" ] || { echo "# $variable=$at: $wrong"; tail -5 "$tmp/err" | sed 's/^/# /'; break; }
		done
		check "rank $rank of 2, $variable: $tried faults, at most $slowest s to the end" [ -z "$wrong" -a $tried -gt 0 ]
	done
done

#!/bin/sh
# A killed and a stopped rank of three: the culprit is named, and the job ends, within 30 and 120 seconds.
. tests/fault/common
have_mpi || { echo "ok 1 - dead rank # SKIP no MPI"; exit 0; }
make_run 128 4 || { not_ok "shards"; exit 1; }
sed -i 's/max_steps: 12/max_steps: 100000/; s/save_steps: 5/save_strategy: "no"/' "$tmp/run.yaml"

# end_of SIGNAL LIMIT: start three ranks, send the signal to rank 1, measure how long until all are gone
end_of() {
	rm -rf "$tmp/out"
	$mpirun -n 3 "$bin/ax-train" -c "$tmp/run.yaml" --output-dir "$tmp/out" --global-batch 6 --threads 1 $3 "$tmp/shards" \
		2>"$tmp/err" >/dev/null &
	job=$!
	wait_steps "$tmp/out" 3 60 || { cat "$tmp/err" >&2; kill $job; wait; return 1; }
	victim=
	for p in $(ranks_of "$tmp/out"); do
		tr '\0' '\n' <"/proc/$p/environ" 2>/dev/null | grep -q '^OMPI_COMM_WORLD_RANK=1$' && victim=$p
	done
	[ -n "$victim" ] || { kill $job; wait; return 1; }
	start=$(date +%s)
	kill "$1" "$victim"
	i=0
	while [ -n "$(ranks_of "$tmp/out" | grep -v "^$victim\$")" ] && [ $i -lt $(($2 * 5)) ]; do sleep 0.2; i=$((i + 1)); done
	took=$(($(date +%s) - start))
	echo "# $1: ended after $took s" >&2
	left=$(ranks_of "$tmp/out" | grep -v "^$victim\$")
	kill -9 "$victim" 2>/dev/null
	wait $job
	status=$?
	[ -z "$left" ] && [ $status -ne 0 ] && [ $took -le "$2" ]
}

named() { grep -q 'rank 1' "$tmp/err" || { sed 's/^/# /' "$tmp/err" >&2; return 1; }; }

check "killed rank: the job ends within 30 s" end_of -KILL 30 ""
check "and rank 1 is named" named
if [ -n "$AX_LONG" ]; then
	check "stopped rank: the job ends within 120 s" end_of -STOP 120 ""
else
	check "stopped rank: the job ends (with short limits)" end_of -STOP 30 "--hang-timeout 8"
fi
check "and rank 1 is named" named

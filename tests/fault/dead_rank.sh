#!/bin/sh
# A killed and a stopped rank of three: the culprit is named, and the job ends, within 30 and 120 seconds. The same on the
# simulated GPU, where ranks wait for each other on the device, and a collective that hangs there.
. tests/fault/common
have_mpi || { echo "ok 1 - dead rank # SKIP no MPI"; exit 0; }
make_run 128 4 || { not_ok "shards"; exit 1; }
sed -i 's/max_steps: 12/max_steps: 100000/; s/save_steps: 5/save_strategy: "no"/' "$tmp/run.yaml"

program="$bin/ax-train"
# end_of SIGNAL LIMIT: start three ranks, send the signal to rank 1, measure how long until all are gone
end_of() {
	rm -rf "$tmp/out"
	# shellcheck disable=SC2086
	$mpirun -n 3 $program -c "$tmp/run.yaml" --output-dir "$tmp/out" --global-batch 6 --threads 1 $3 "$tmp/shards" \
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

sim=$PWD/$BUILD/sim
[ -e "$sim/lib/ax/libax-cuda.so" ] || { ok "ranks of a GPU # SKIP no simulated GPU in this build"; exit 0; }
program="$sim/bin/ax-train --device cuda"
export XDG_CACHE_HOME="$tmp/cache" CUDASIM_STREAMS=lazy
check "GPUs, killed rank: the job ends within 30 s" end_of -KILL 30 "--strategy fsdp"
check "and rank 1 is named" named
export CUDASIM_DEVICES=1
check "one GPU for all, killed rank: the job ends within 30 s" end_of -KILL 30 "--strategy fsdp"
check "and rank 1 is named" named
unset CUDASIM_DEVICES
check "GPUs, stopped rank: the job ends (with short limits)" end_of -STOP 40 "--hang-timeout 8 --strategy ddp"
check "and rank 1 is named" named

# One rank's 60th collective never ends on its device, and so the others' do not.
hang() {
	rm -rf "$tmp/out"
	args="$program -c $tmp/run.yaml --output-dir $tmp/out --global-batch 6 --threads 1 --hang-timeout 6 --strategy fsdp $tmp/shards"
	start=$(date +%s)
	# shellcheck disable=SC2086
	$mpirun -n 1 $args : -n 1 env CUDASIM_NCCL_HANG=60 $args : -n 1 $args 2>"$tmp/err" >/dev/null
	status=$?
	took=$(($(date +%s) - start))
	echo "# hang: status $status after $took s" >&2
	[ $status -eq 6 ] && [ $took -le 60 ]
}
where() { grep -q 'step [0-9]*, in ".*nothing has moved\|waits.*last seen at step [0-9]*, in "' "$tmp/err" || { sed 's/^/# /' "$tmp/err" >&2; return 1; }; }
check "GPUs, a collective that hangs on one: the job ends" hang
check "and step and collective are named" where

#!/bin/sh
# kill -9 in the middle of a run and while checkpoints are written; resume; the same bits as an uninterrupted run.
. tests/fault/common
have_mpi || { echo "ok 1 - crash # SKIP no MPI"; exit 0; }
moments=3
[ -n "$AX_LONG" ] && moments=20
make_run 128 4 || { not_ok "shards"; exit 1; }

check "uninterrupted run on 2 ranks" train "$tmp/whole" 2
check "12 steps" [ "$(steps "$tmp/whole")" -eq 12 ]

train "$tmp/killed" 2 &
wait_steps "$tmp/killed" 1 60
pids=$(ranks_of "$tmp/killed")
wait_steps "$tmp/killed" 7 60
kill -9 $pids 2>/dev/null
wait
check "killed at step 7 or a little later" [ "$(steps "$tmp/killed")" -lt 12 ]
cp -r "$tmp/killed" "$tmp/three"
check "resume on 2 ranks" train "$tmp/killed" 2 --resume-from-checkpoint auto
check "the same losses, bit for bit" same_losses "$tmp/whole" "$tmp/killed"
check "the same weights, bit for bit" same_model "$tmp/whole" "$tmp/killed"
check "resume on 3 ranks" train "$tmp/three" 3 --resume-from-checkpoint auto
check "losses within 1e-5 on 3 ranks" "$BUILD/tests/parity/cmp_reference" losses "$tmp/whole/metrics.jsonl" "$tmp/three/metrics.jsonl" 1e-5

# A checkpoint every step, so that most of the time one is being written or an old one removed, and kills at random
# moments: whatever is called checkpoint-N must be complete, and the run must go on from it.
seed=1
kill=0
bad=0
seen=0
while [ $kill -lt $moments ]; do
	kill=$((kill + 1))
	[ "$(steps "$tmp/torn")" -ge 9 ] && rm -rf "$tmp/torn"
	before=$(steps "$tmp/torn")
	train "$tmp/torn" 2 --resume-from-checkpoint auto --save-steps 1 --save-total-limit 2 &
	wait_steps "$tmp/torn" $((before + 1)) 60 || bad=$((bad + 1))
	seed=$(((seed * 16807) % 2147483647))
	sleep "0.$(printf %03d $((10 + seed % 400)))"
	kill -9 $(ranks_of "$tmp/torn") 2>/dev/null
	wait
	for c in "$tmp/torn"/checkpoint-*; do
		case $c in *.tmp | *'*') continue ;; esac
		seen=$((seen + 1))
		"$bin/ax-view" -q --check "$c" >/dev/null 2>&1 || { echo "# incomplete: $c"; bad=$((bad + 1)); }
	done
done
check "$moments kills while checkpoints are written: $seen complete ones, none torn" [ $bad -eq 0 -a $seen -gt 0 ]
check "and the run goes on to its end" train "$tmp/torn" 2 --resume-from-checkpoint auto --save-steps 1
check "with the same weights, bit for bit" same_model "$tmp/whole" "$tmp/torn"
check "a complete run is left alone" train "$tmp/torn" 2 --resume-from-checkpoint auto --save-steps 1
train "$tmp/torn" 2
check "a fresh run into it is refused with both choices" grep -q -e '--resume-from-checkpoint auto.*--overwrite' "$tmp/err"

# SIGUSR2: saved, stopped, 75 (mpirun passes the status on); and the next run goes on from there
stop() { # stop STEPS: run on until so many lines of metrics are there, then ask it to stop; its status
	train "$tmp/stopped" 2 --max-steps 100000 --save-strategy no --resume-from-checkpoint auto &
	wait_steps "$tmp/stopped" "$1" 60
	kill -USR2 $(ranks_of "$tmp/stopped") 2>/dev/null
	wait $!
}
stop 2
check "SIGUSR2 ends with 75" [ $? -eq 75 ]
first=$(steps "$tmp/stopped")
check "after saving its last step" [ -e "$tmp/stopped/checkpoint-$first" ]
stop $((first + 2))
check "the next run goes on and is stopped likewise" [ $? -eq 75 ]
check "with a line for every step" awk '{ match($0, /"step": [0-9]+/); if (substr($0, RSTART + 8, RLENGTH - 8) + 0 != NR) exit 1 }' "$tmp/stopped/metrics.jsonl"

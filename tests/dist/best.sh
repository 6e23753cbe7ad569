#!/bin/sh
# The best checkpoint and early stopping on 1 and 2 ranks, in a run whose eval_loss goes down and up: what is saved, kept,
# remembered and merged is what the losses of an undisturbed run say; a run that was killed decides the same.
. tests/fault/common
have_mpi || { echo "ok 1 - the best checkpoint # SKIP no MPI"; exit 0; }
make_run 64 2 || { not_ok "shards"; exit 1; }
sed -i -e '/save_steps/d' -e 's/learning_rate.*/learning_rate: 0.012/' -e 's/max_steps.*/max_steps: 16/' "$tmp/run.yaml"
printf '%s\n' 'lr_scheduler: constant' 'val_set_size: 0.2' 'eval_steps: 1' >>"$tmp/run.yaml"
"$bin/ax-tokenize" -q -c "$tmp/run.yaml" | "$bin/ax-pack" -q | "$bin/ax-shard" -q -f -o "$tmp/shards"
patience=2

# decide METRICS: "best: STEP...", after which the loss was the lowest so far, until patience ends; "stop: STEP"; "resets: N",
# how often a worse one was followed by a better one
decide() {
	awk -v patience=$patience '
	match($0, /"step": [0-9]+/) { step = substr($0, RSTART + 8, RLENGTH - 8) + 0 }
	step > 0 && !stop && match($0, /"eval_loss": [0-9.]+/) {
		loss = substr($0, RSTART + 13, RLENGTH - 13) + 0
		if (!n || loss < low) { low = loss; best[++n] = step; if (since) resets++; since = 0 }
		else if (++since == patience) stop = step
	}
	END { printf "best:"; for (i = 1; i <= n; i++) printf " %d", best[i]; printf "\nstop: %d\nresets: %d\n", stop, resets }' "$1"
}

checkpoints() { ls "$1" | sed -n 's/^checkpoint-\([0-9]*\)$/\1/p' | sort -n | tr '\n' ' '; }
remembers() { # remembers OUT STEP FIELD VALUE: of the trainer state
	got=$(sed -n "s/^  \"$3\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}$/\1/p" "$1/checkpoint-$2/trainer_state.json")
	[ "$got" = "$4" ] || { echo "# $3 is $got, not $4"; return 1; }
}
says() { grep -qE "$1" "$tmp/err" || { sed 's/^/# /' "$tmp/err" | tail -4; return 1; }; }
is() { [ "$1" = "$2" ] || { echo "# $1, not $2"; return 1; }; }
loud() { # train, with its messages
	out=$1 ranks=$2
	shift 2
	$mpirun -n "$ranks" "$bin/ax-train" -c "$tmp/run.yaml" --output-dir "$out" --global-batch 6 --threads 1 \
		--fsdp-config.reshard-after-forward true "$@" "$tmp/shards" 2>"$tmp/err" >&2
}
same_weights() { # same_weights RUN CHECKPOINT: RUN as ax-merge takes it
	rm -rf "$tmp/ma" "$tmp/mb"
	"$bin/ax-merge" -q --dtype f32 "$1" "$tmp/ma" && "$bin/ax-merge" -q --dtype f32 "$2" "$tmp/mb" &&
		cmp "$tmp/ma/model.safetensors" "$tmp/mb/model.safetensors"
}

on_ranks() {
	r=$1 whole=$tmp/whole-$1 run=$tmp/best-$1
	set -- "$r" --metric-for-best-model eval_loss --early-stopping-patience $patience
	check "$r: an undisturbed run" train "$whole" "$r" --save-steps 1
	decide "$whole/metrics.jsonl" >"$tmp/want"
	best=$(sed -n 's/^best: //p' "$tmp/want") stop=$(sed -n 's/^stop: //p' "$tmp/want") last=${best##* }
	check "$r: its losses go down and up, more than once" [ "$stop" -lt 16 -a "$(sed -n 's/^resets: //p' "$tmp/want")" -gt 1 ]

	check "$r: early stopping ends with 0" loud "$run" "$@" --save-strategy best
	check "$r: and says why" says "stopped early after step $stop of 16: $patience evaluations were not better than .* after step $last "
	check "$r: names the best checkpoint" says "best checkpoint: $run/checkpoint-$last, eval_loss"
	check "$r: each better evaluation and the last step are saved" is "$(checkpoints "$run")" "$best $stop "
	check "$r: the state names the best step" remembers "$run" "$stop" best_global_step "$last"
	check "$r: and its checkpoint" remembers "$run" "$stop" best_model_checkpoint "$run/checkpoint-$last"
	check "$r: and how often it was not better" remembers "$run" "$stop" early_stopping_patience_counter $patience
	check "$r: the best is what is merged" same_weights "$run" "$whole/checkpoint-$last"
	check "$r: resuming it does nothing" loud "$run" "$@" --save-strategy best --resume-from-checkpoint auto
	check "$r: and says so" says "complete: $stop of 16 steps"
	check "$r: nor has it changed" is "$(checkpoints "$run")" "$best $stop "

	check "$r: a limit of 1 keeps the newest and the best" train "$tmp/few-$r" "$@" --save-steps 1 --save-total-limit 1
	check "$r: and no others" is "$(checkpoints "$tmp/few-$r")" "$last $stop "

	# cut off where the counter is not 0: after the first evaluation that is not better than the last best one
	cut=$tmp/cut-$r
	mkdir "$cut"
	train "$tmp/full-$r" "$@" --save-steps 1
	for c in $(checkpoints "$tmp/full-$r"); do
		[ "$c" -le $((last + 1)) ] && cp -R "$tmp/full-$r/checkpoint-$c" "$cut"
	done
	cp "$tmp/full-$r/metrics.jsonl" "$cut"
	check "$r: a run that is cut off" train "$cut" "$@" --save-steps 1 --resume-from-checkpoint auto
	check "$r: stops where it would have" is "$(checkpoints "$cut")" "$(checkpoints "$tmp/full-$r")"
	check "$r: with the same best one" remembers "$cut" "$stop" best_global_step "$last"
	check "$r: and the same losses" same_losses "$tmp/full-$r" "$cut"

	more=$((patience + 20))
	check "$r: more patience goes on" train "$run" "$1" --metric-for-best-model eval_loss --early-stopping-patience $more \
		--save-strategy best --resume-from-checkpoint auto
	check "$r: to the end of the undisturbed run" same_weights "$run/checkpoint-16" "$whole/checkpoint-16"
}

killed() { # killed RANKS: kill -9, resumed on as many
	run=$tmp/killed-$1
	set -- "$1" --metric-for-best-model eval_loss --early-stopping-patience $patience --save-strategy best
	train "$run" "$@" &
	wait_steps "$run" 1 60
	pids=$(ranks_of "$run")
	wait_steps "$run" 5 60
	kill -9 $pids 2>/dev/null
	wait
	check "killed before its end" [ "$(steps "$run")" -le "$(sed -n 's/^stop: //p' "$tmp/want")" ]
	check "and resumed" train "$run" "$@" --resume-from-checkpoint auto
	check "the same decisions" is "$(checkpoints "$run")" "$(sed -n 's/^best: //p' "$tmp/want") $(sed -n 's/^stop: //p' "$tmp/want") "
	check "the same losses, bit for bit" same_losses "$tmp/full-$1" "$run"
	check "the same best weights, bit for bit" same_weights "$run" "$tmp/full-$1"
}

on_ranks 1
on_ranks 2
killed 2
echo "1..$n"

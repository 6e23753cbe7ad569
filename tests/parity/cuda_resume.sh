#!/bin/sh
# Runs on the simulated GPU that are killed (kill -9 of all ranks) and resumed, with --deterministic: the losses and the last
# checkpoint are those of a run that was never interrupted, byte for byte. make check-long runs all models and layouts.
. tests/parity/cuda_common
if [ -n "$AX_LONG" ]; then
	models="$(ls "$assets/models/tiny" | grep -v '\.') stories260K"
	have_mpi && layouts='one ddp2 ddp4 fsdp2 fsdp4'
else
	models=llama
	layouts=fsdp2
	have_mpi || layouts=one
fi
models=${AX_MODELS:-$models} layouts=${AX_LAYOUTS:-$layouts}
seed=100 kills=0

# cut MODEL BF16 LAYOUT: a run into $tmp/cut that is killed behind its tenth step, where checkpoints 5 and 10 should be
cut() {
	for try in 1 2 3 4 5; do
		rm -rf "$tmp/cut"
		gpu "$1" "$2" "$3" "$tmp/cut" CUDASIM_STREAMS=random CUDASIM_SEED=$seed --deterministic --save-strategy steps --save-steps 5 2>"$tmp/err" &
		wait_steps "$tmp/cut" 11 60
		# shellcheck disable=SC2046
		kill -9 $(ranks_of "$tmp/cut") 2>/dev/null
		wait $! && continue # it had come to its end
		at=$(steps_done "$tmp/cut")
		[ "$at" -ge 11 ] && [ "$at" -lt $steps ] && [ -d "$tmp/cut/checkpoint-10" ] && [ ! -e "$tmp/cut/checkpoint-$steps" ] && kills=$((kills + 1)) && return 0
	done
	echo "# try $try: killed at step $at"
	return 1
}

steps_done() { only_losses "$1" | wc -l; }

resumed() { # resumed MODEL BF16 LAYOUT
	seed=$((seed + 1))
	rm -rf "$tmp/whole"
	gpu "$1" "$2" "$3" "$tmp/whole" --deterministic --save-strategy steps --save-steps 5 || return 1
	cut "$1" "$2" "$3" || return 1
	gpu "$1" "$2" "$3" "$tmp/cut" CUDASIM_STREAMS=random CUDASIM_SEED=$((seed + 50)) --deterministic --save-strategy steps --save-steps 5 --resume-from-checkpoint auto || return 1
	only_losses "$tmp/whole" >"$tmp/a"
	only_losses "$tmp/cut" >"$tmp/b"
	[ "$(wc -l <"$tmp/a")" -eq $steps ] && cmp "$tmp/a" "$tmp/b" && bytes "$tmp/whole" "$tmp/cut"
}

for model in $models; do
	prepare "$model"
	case $? in
	2) ok "$model # SKIP $(sed 's/.*config.json: //' "$tmp/err")" && continue ;;
	1) sed 's/^/# /' "$tmp/err" && not_ok "$model" && continue ;;
	esac
	for where in $layouts; do
		types=bf16
		case $where in one | fsdp2) types="${AX_LONG:+f32} bf16" ;; esac
		for type in $types; do
			bf16=false
			[ $type = bf16 ] && bf16=true
			check "$model $type $where: killed at a step behind the tenth, resumed, the same bytes" resumed "$model" $bf16 "$where"
		done
	done
done
echo "#= killed and resumed: $kills"

#!/bin/sh
# Say where the model is, what the held-out loss was before and after training, and what to do next.
# Fails if the loss did not fall below half of what it was.
# usage: report.sh OUTPUT_DIR BIN	paths are printed whole: the reader may stand in another folder
out=$(cd "$1" && pwd) || exit 1
bin=$(cd "${2:-.}" && pwd) || exit 1
here=$(pwd)
OUT=$out BIN=$bin HERE=$here awk '
	BEGIN { out = ENVIRON["OUT"]; bin = ENVIRON["BIN"]; here = ENVIRON["HERE"] }
	match($0, /"eval_loss": [0-9.e+-]+/) {
		v = substr($0, RSTART + 13, RLENGTH - 13) + 0
		if (!n++) first = v
		last = v
	}
	END {
		if (n < 2) { print "no evaluations in " out "/metrics.jsonl"; exit 1 }
		printf "\nThe fine-tuned model is in %s/merged (a Hugging Face folder).\n", out
		printf "Held-out loss: %.4f before training, %.4f after.\n", first, last
		print "Next: look at it with  " bin "/ax-view " out "/merged ;"
		print "      train your own with  " here "/run.yaml  as a start,"
		print "      your model folder as base_model and your JSONL file as datasets[0].path."
		if (last >= 0.5 * first) { print "The loss did not fall below half of its start."; exit 1 }
	}' "$out/metrics.jsonl"

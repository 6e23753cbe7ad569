#!/bin/sh
# Tokens per second of one training step on the CPU, beside PyTorch's, in one run: A B A B, medians.
# usage: bench/train.sh MODEL_DIR [SEQUENCE_LEN] [ROUNDS]
#	AX_PYTHON	a Python with torch and transformers (else only ax is timed)
#	AX_PEER		a script that times PyTorch's step: PEER NAME MODE B T [compile] STEPS
#	AX_PEER_NAME	the model's name there (smollm2-135m)
# Definition: one rank, all cores, bf16 compute with f32 masters, AdamW, clipping; micro-batch 1 packed row of SEQUENCE_LEN
# trained tokens, 8 steps a round of which the first 2 do not count. Weights are initialised from config.json.
model=${1:?usage: bench/train.sh MODEL_DIR [SEQUENCE_LEN] [ROUNDS]} len=${2:-1024} rounds=${3:-3}
bin=$PWD/${BUILD:-build}/bin
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/model" && cp "$model/config.json" "$tmp/model" || exit 1
vocab=$(sed -n 's/.*"vocab_size": *\([0-9]*\).*/\1/p' "$model/config.json")
awk -v len="$len" -v vocab="$vocab" 'BEGIN { s = 11
	for (r = 0; r < 8; r++) { a = ""; m = ""
		for (i = 0; i < len; i++) { s = (s * 16807) % 2147483647; a = a (i ? ", " : "") s % vocab; m = m (i ? ", " : "") 1 }
		printf "{\"input_ids\": [%s], \"attention_mask\": [%s], \"labels\": [%s]}\n", a, m, a } }' >"$tmp/rows.jsonl"
cat >"$tmp/run.yaml" <<-Y
	base_model: $tmp/model
	reinit_weights: true
	datasets:
	  - path: $tmp/rows.jsonl
	sequence_len: $len
	sample_packing: true
	micro_batch_size: 1
	max_steps: 8
	learning_rate: 1e-5
	save_strategy: "no"
	save_only_model: true
	output_dir: $tmp/out
Y
"$bin/ax-tokenize" -q -c "$tmp/run.yaml" | "$bin/ax-pack" -q | "$bin/ax-shard" -q -o "$tmp/shards" || exit 1

median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
ours() {
	"$bin/ax-train" -c "$tmp/run.yaml" --overwrite "$tmp/shards" 2>"$tmp/err" || { cat "$tmp/err" >&2; exit 1; }
	sed -n 's/.*"step": \([0-9]*\),.*"tokens_per_second": \([0-9.]*\).*"mfu": \([0-9.]*\).*/\1 \2 \3/p' "$tmp/out/metrics.jsonl" |
		awk '$1 > 2 { print $2 }' | median
}
theirs() { "$AX_PYTHON" "$AX_PEER" "${AX_PEER_NAME:-smollm2-135m}" autocast 1 "$len" $1 8 | sed -n 's/.*: \([0-9.]*\) tok.*/\1/p'; }

i=0
while [ $i -lt "$rounds" ]; do
	i=$((i + 1))
	a=$(ours) || exit 1
	echo "$a" >>"$tmp/a"
	sed -n 's/.*memory planned for a rank: /ax plans /p' "$tmp/err"
	if [ -n "$AX_PYTHON" ] && [ -n "$AX_PEER" ]; then
		b=$(theirs)
		echo "$b" >>"$tmp/b"
		awk -v a="$a" -v b="$b" 'BEGIN { print a / b }' >>"$tmp/r"
		echo "round $i: ax $a tok/s, PyTorch autocast $b tok/s"
	else
		echo "round $i: ax $a tok/s"
	fi
done
echo "median: ax $(median <"$tmp/a") tok/s$([ -s "$tmp/b" ] && printf ', PyTorch %s tok/s, ratio %s' "$(median <"$tmp/b")" "$(median <"$tmp/r")")"

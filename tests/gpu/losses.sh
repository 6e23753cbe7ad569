#!/bin/sh
# Training on a GPU has the CPU's losses: SmolLM2-135M's shape from config.json (the same first weights on both), packed
# documents, 6 steps, f32 within 1e-5, bf16 and bf16 gradients within 1e-2; the same run twice with --deterministic has the same bits.
# DEVICE=cpu rehearses it where there is no GPU, SMALL=1 with a small shape.
[ "$AX_TEST_DEVICE" = cuda ] || [ -n "$DEVICE" ] || { echo "ok 1 - losses of a GPU # SKIP no GPU is tested"; exit 0; }
gpu=${DEVICE:-cuda}
bin=$BUILD/bin
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
n=0
mkdir "$tmp/model"
set -- 576 1536 30 9 3 49152
[ -z "$SMALL" ] || set -- 64 160 2 4 2 512
cat >"$tmp/model/config.json" <<-J
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": $1, "intermediate_size": $2, "num_hidden_layers": $3,
 "num_attention_heads": $4, "num_key_value_heads": $5, "vocab_size": $6, "tie_word_embeddings": true, "max_position_embeddings": 8192,
 "rope_theta": 100000.0, "rms_norm_eps": 1e-05, "hidden_act": "silu", "initializer_range": 0.041666666666666664, "attention_bias": false,
 "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16"}
J
awk -v vocab="$6" 'BEGIN { s = 11
	for (r = 0; r < 24; r++) { n = 20 + r * 37 % 400; a = m = ""
		for (i = 0; i < n; i++) { s = (s * 16807) % 2147483647; a = a (i ? "," : "") s % vocab; m = m (i ? ",1" : "1") }
		printf "{\"input_ids\":[%s],\"attention_mask\":[%s],\"labels\":[%s]}\n", a, m, a } }' >"$tmp/rows.jsonl"
cat >"$tmp/run.yaml" <<-Y
	base_model: $tmp/model
	reinit_weights: true
	datasets:
	  - path: $tmp/rows.jsonl
	sequence_len: 512
	sample_packing: true
	micro_batch_size: 2
	max_steps: 6
	learning_rate: 1e-4
	lr_scheduler: constant
	logging_steps: 1
	save_strategy: "no"
	save_only_model: true
	output_dir: $tmp/out
Y
"$bin/ax-tokenize" -q -c "$tmp/run.yaml" | "$bin/ax-pack" -q | "$bin/ax-shard" -q -o "$tmp/shards" || exit 1

train() { # train OUT OPTIONS...: the losses of the steps
	to=$1
	shift
	if ! "$bin/ax-train" -c "$tmp/run.yaml" --overwrite "$@" "$tmp/shards" 2>"$tmp/err"; then
		tail -5 "$tmp/err" | sed 's/^/# /'
		return 1
	fi
	sed -n 's/.*"loss": \([0-9.e+-]*\).*/\1/p' "$tmp/out/metrics.jsonl" >"$tmp/$to"
	[ "$(wc -l <"$tmp/$to")" = 6 ]
}
for kind in "f32 1e-5 --no-bf16" "bf16 1e-2 --bf16=true" "bf16-gradients 1e-2 --gradients=bf16"; do
	set -- $kind
	n=$((n + 1))
	if train cpu --device cpu "$3" && train gpu --device "$gpu" "$3" && paste "$tmp/cpu" "$tmp/gpu" | awk -v most="$2" '
		{ d = ($1 - $2) / $1; d = d < 0 ? -d : d; if (!($1 > 0) || d > worst) worst = d; if (!(d <= most)) bad = 1 }
		END { printf "# largest relative difference of a loss: %.1e\n", worst; exit bad || NR != 6 }'; then
		echo "ok $n - $1: losses as on the CPU within $2"
	else
		echo "not ok $n - $1: losses as on the CPU within $2"
		paste "$tmp/cpu" "$tmp/gpu" 2>/dev/null | sed 's/^/# /'
	fi
done
n=$((n + 1))
if train one --device "$gpu" --deterministic && train two --device "$gpu" --deterministic && cmp -s "$tmp/one" "$tmp/two"; then
	echo "ok $n - deterministic: the same bits twice"
else
	echo "not ok $n - deterministic: the same bits twice"
fi
echo "1..$n"

#!/bin/sh
# Training steps of a Qwen2.5 shape, ax-train and PyTorch in turn, in one run; a JSON line a run goes to OUT (table.py show).
# usage: bench/gpu/step.sh MODEL ROWS OUT [key=value...]
#	MODEL	0.5B, 1.5B, 7B; tiny for tests
#	ROWS	1024 (each row one document of 1,024 tokens) or 4096 (documents packed into rows of 4,096)
#	device=cuda  rounds=1  steps=6 (the first two do not count)  tokens=N (of one step)  micro="16 8 4 2 1" (tried in order)
#	recompute=none  deterministic=no|yes|both  sides="ax torch"  train="" (options of ax-train)
#	precision="masters bf16" (of both sides; masters: f32 beside bf16; bf16: weights, moments and gradients in bf16 alone)
#	layers=N (of the model's)  end=kill|wait (after the last step: wait lets ax-train save the model)  show=no|yes (its messages)
# Environment: BUILD (build) has the programs; AX_PYTHON is a Python with torch and transformers (else ax alone is timed).
[ $# -ge 3 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
model=$1 rows=$2 out=$3
shift 3
device=cuda rounds=1 steps=6 tokens= micro= recompute=none deterministic=no sides="ax torch" precision="masters bf16" train= layers= end=kill show=no
for kv; do
	case $kv in
	device=* | rounds=* | steps=* | tokens=* | micro=* | recompute=* | deterministic=* | sides=* | precision=* | train=* | layers=* | end=* | show=*) eval "${kv%%=*}=\${kv#*=}" ;;
	*) echo "step.sh: $kv is no setting" >&2; exit 2 ;;
	esac
done
here=$(dirname "$0")
bin=${BIN:-${BUILD:-build}/bin}
tmp=$(mktemp -d) || exit 1
running=
trap '[ -z "$running" ] || kill $running 2>/dev/null; rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM

# shape: hidden, intermediate, layers, heads, kv heads, vocabulary, tied; then tokens of a step and packs of 1,024 in a micro-batch
case $model in
0.5B) set -- 896 4864 24 14 2 151936 true 524288 "32 16 8 4 2 1" ;;
1.5B) set -- 1536 8960 28 12 2 151936 true 262144 "32 16 8 4 2 1" ;;
7B) set -- 3584 18944 28 28 4 152064 false 131072 "16 8 4 2 1" ;;
tiny) set -- 64 96 2 4 2 300 true 8192 "2 1" ;;
*) echo "step.sh: $model is none of 0.5B, 1.5B, 7B, tiny" >&2; exit 2 ;;
esac
vocab=$6 n_layer=${layers:-$3}
[ -z "$layers" ] || model="$model ($layers layers)"
tokens=${tokens:-$8}
[ -n "$micro" ] || { [ "$rows" = 1024 ] && micro=$9 || micro=$(for m in $9; do [ $((m / 4)) -eq 0 ] || echo $((m / 4)); done) ; }
[ -n "$micro" ] || micro=1
mkdir "$tmp/model"
cat >"$tmp/model/config.json" <<-J
{"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": $1, "intermediate_size": $2, "num_hidden_layers": $n_layer,
 "num_attention_heads": $4, "num_key_value_heads": $5, "vocab_size": $6, "tie_word_embeddings": $7, "max_position_embeddings": 32768,
 "rope_theta": 1000000.0, "rms_norm_eps": 1e-06, "hidden_act": "silu", "initializer_range": 0.02, "attention_dropout": 0.0,
 "use_sliding_window": false, "sliding_window": null, "max_window_layers": $n_layer, "torch_dtype": "bfloat16", "bos_token_id": 1, "eos_token_id": 2}
J

# Random documents that fill one step: of the row's length, or log-normal (median 460, sigma 1) as fine-tuning sets have them.
awk -v lens="$tmp/lens" -v len="$rows" -v vocab="$vocab" -v tokens="$tokens" 'BEGIN { srand(1); s = 11
	while (total < tokens) {
		n = len
		if (len > 1024) {
			n = int(exp(6.14 + sqrt(-2 * log(1 - rand())) * cos(6.2831853 * rand())))
			n = n < 8 ? 8 : n > len ? len : n
		}
		total += n; a = ""; m = ""
		for (i = 0; i < n; i++) { s = (s * 16807) % 2147483647; a = a (i ? "," : "") s % vocab; m = m (i ? ",1" : "1") }
		printf "{\"input_ids\":[%s],\"attention_mask\":[%s],\"labels\":[%s]}\n", a, m, a
		print n >lens } }' >"$tmp/rows.jsonl"

cat >"$tmp/run.yaml" <<-Y
	base_model: $tmp/model
	reinit_weights: true
	datasets:
	  - path: $tmp/rows.jsonl
	sequence_len: $rows
	sample_packing: true
	max_steps: $steps
	learning_rate: 1e-5
	lr_scheduler: constant
	logging_steps: 1
	save_strategy: "no"
	save_only_model: true
	output_dir: $tmp/out
Y
"$bin/ax-tokenize" -q -c "$tmp/run.yaml" -o "$tmp/t.axt" && "$bin/ax-pack" -q -o "$tmp/t.axp" "$tmp/t.axt" && "$bin/ax-shard" -q -o "$tmp/shards" "$tmp/t.axp" || exit 1
rm -f "$tmp/rows.jsonl" "$tmp/t.axt"
packs=$("$bin/ax-view" "$tmp/shards" | sed -n 's/.*[^0-9]\([0-9][0-9]*\) packs.*/\1/p' | head -1)
[ -n "$packs" ] || { echo "step.sh: ax-view does not say how many packs there are" >&2; exit 1; }

median() { sort -n | awk '{ v[NR] = $1 } END { if (NR) print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
used_mib() { nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits 2>/dev/null | head -1; }
line() { echo "{\"kind\": \"step\", \"model\": \"$model\", \"rows\": \"T=$rows$([ "$rows" = 1024 ] || echo ' packed')\", $1}" >>"$out"; }

# One run of ax-train: it is ended after its last step's line, before it writes the model. $1: micro-batch, $2: options
ax_run() {
	rm -rf "$tmp/out"
	base=$(used_mib) most=0
	# shellcheck disable=SC2086
	${AX_RUNNER:-} "$bin/ax-train" --device "$device" -c "$tmp/run.yaml" --overwrite --recompute "$recompute" --micro-batch-size "$1" --global-batch "$packs" $2 $train "$tmp/shards" 2>"$tmp/err" &
	running=$!
	while kill -0 $running 2>/dev/null && [ "$(grep -c tokens_per_second "$tmp/out/metrics.jsonl" 2>/dev/null || :)" != "$steps" ]; do
		now=$(used_mib)
		[ -z "$now" ] || [ "$now" -le "$most" ] || most=$now
		sleep 0.2
	done
	[ $end = wait ] || kill -9 $running 2>/dev/null
	wait $running 2>/dev/null
	running=
	[ "$(grep -c tokens_per_second "$tmp/out/metrics.jsonl" 2>/dev/null || :)" = "$steps" ]
}
precision_name() { [ "$1" = bf16 ] && echo 'bf16 alone' || echo 'bf16, f32 masters'; }
ours() { # $1: masters or bf16; $2: true or false, deterministic
	opt=
	[ "$1" = masters ] || opt="--moments bf16 --masters none --gradients bf16"
	[ "$2" = false ] || opt="$opt --deterministic"
	for m in $micro; do
		if ax_run "$m" "$opt"; then
			[ $show = no ] || cat "$tmp/err" >&2
			field() { sed -n "s/.*\"$1\": \([0-9.e+-]*\).*/\1/p" "$tmp/out/metrics.jsonl" | tail -n +3 | median; }
			plan=$(sed -n 's/.*memory planned for a rank: \([0-9.]*\) \([KMG]\)iB.*/\1 \2/p' "$tmp/err" | awk '{ print $2 == "G" ? $1 : $2 == "M" ? $1 / 1024 : $1 / 1048576 }')
			[ -z "$base" ] || peak=", \"peak_gib\": $(awk -v a="$most" -v b="$base" 'BEGIN { print (a - b) / 1024 }')"
			line "\"side\": \"ax\", \"precision\": \"$(precision_name "$1")\", \"deterministic\": $2, \"tokens_per_second\": $(field tokens_per_second), \"mfu\": $(field mfu), \"planned_gib\": ${plan:-0}${peak:-}, \"micro\": $m, \"recompute\": \"$recompute\", \"tokens\": $tokens"
			echo "$model T=$rows: ax $(field tokens_per_second) tok/s, mfu $(field mfu), micro-batch $m $opt" >&2
			return
		fi
		grep -qiE 'needs .*bytes|memory|fit' "$tmp/err" || break
	done
	why=$(tail -1 "$tmp/err" | tr -d '"\\' | cut -c1-160)
	echo "$model T=$rows: ax failed: $why" >&2
	line "\"side\": \"ax\", \"precision\": \"$(precision_name "$1")\", \"deterministic\": $2, \"failed\": \"$why\""
}
theirs() { # $1: masters or bf16
	"$AX_PYTHON" "$here/torch_step.py" --model "$tmp/model" --lens "$tmp/lens" --rows "$rows" --precision "$1" --steps "$steps" --micro "$micro" --device "${PEER_DEVICE:-$device}" >"$tmp/torch" 2>"$tmp/err" ||
		{ tail -3 "$tmp/err" >&2; echo "\"failed\": \"$(tail -1 "$tmp/err" | tr -d '"\\' | cut -c1-160)\"" >"$tmp/torch"; }
	line "\"side\": \"torch\", \"precision\": \"$(precision_name "$1")\", $(tail -1 "$tmp/torch")"
	echo "$model T=$rows: PyTorch $1: $(tail -1 "$tmp/torch")" >&2
}

i=0
while [ $i -lt "$rounds" ]; do
	i=$((i + 1))
	for side in $sides; do
		case $side in
		ax)
			for p in $precision; do
				[ "$deterministic" = yes ] || ours "$p" false
				[ "$deterministic" = no ] || ours "$p" true
			done
			;;
		torch)
			[ -n "$AX_PYTHON" ] || continue
			for p in $precision; do theirs "$p"; done
			;;
		esac
	done
done

# Sourced by the shell tests of this folder: a small model without weights, rows of ids, shards; all in $tmp.
bin=$PWD/$BUILD/bin
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mpirun=${AX_MPIRUN:-mpirun --oversubscribe --bind-to none}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
n=0
ok() { n=$((n + 1)); echo "ok $n - $*"; }
not_ok() { n=$((n + 1)); echo "not ok $n - $*"; }
check() { name=$1; shift; if "$@"; then ok "$name"; else not_ok "$name"; fi; }
have_mpi() { [ -e "$BUILD/lib/ax/libax-mpi.so" ] && command -v mpirun >/dev/null 2>&1; }

# make_run WIDTH LAYERS: $tmp/model, $tmp/run.yaml, $tmp/shards; 12 steps of 6 packs
make_run() {
	mkdir -p "$tmp/model"
	cat >"$tmp/model/config.json" <<-J
		{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": $1, "intermediate_size": $(($1 * 3)),
		 "num_hidden_layers": $2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512, "rms_norm_eps": 1e-6,
		 "max_position_embeddings": 512, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": true, "initializer_range": 0.02}
	J
	awk 'BEGIN { s = 11
		for (r = 0; r < 72; r++) {
			line = ""; lab = ""; mask = ""
			for (i = 0; i < 128; i++) { s = (s * 16807) % 2147483647; v = (i % 2) ? (v * 5 + 7) % 512 : s % 512
				line = line (i ? ", " : "") v; lab = lab (i ? ", " : "") (i < 8 ? -100 : v); mask = mask (i ? ", " : "") 1 }
			printf "{\"input_ids\": [%s], \"attention_mask\": [%s], \"labels\": [%s]}\n", line, mask, lab
		} }' >"$tmp/rows.jsonl"
	cat >"$tmp/run.yaml" <<-Y
		base_model: $tmp/model
		reinit_weights: true
		datasets:
		  - path: $tmp/rows.jsonl
		sequence_len: 128
		sample_packing: false
		bf16: false
		learning_rate: 0.001
		micro_batch_size: 1
		max_steps: 12
		save_steps: 5
		save_total_limit: 20
	Y
	"$bin/ax-tokenize" -q -c "$tmp/run.yaml" | "$bin/ax-pack" -q | "$bin/ax-shard" -q -o "$tmp/shards"
}

# train OUT RANKS [options]: foreground
train() {
	out=$1 ranks=$2
	shift 2
	$mpirun -n "$ranks" "$bin/ax-train" -q -c "$tmp/run.yaml" --output-dir "$out" --global-batch 6 --threads 1 \
		--fsdp-config.reshard-after-forward true "$@" "$tmp/shards" 2>"$tmp/err" >&2
}

# steps OUT: lines of its metrics so far
steps() { if [ -f "$1/metrics.jsonl" ]; then wc -l <"$1/metrics.jsonl"; else echo 0; fi; }

# wait_steps OUT N SECONDS
wait_steps() {
	i=0
	while [ "$(steps "$1")" -lt "$2" ] && [ $i -lt $(($3 * 50)) ]; do sleep 0.02; i=$((i + 1)); done
	[ "$(steps "$1")" -ge "$2" ]
}

# pids of the ranks that write to OUT
ranks_of() { pgrep -f "ax-train.*--output-dir $1 " | while read -r p; do [ "$(cat "/proc/$p/comm" 2>/dev/null)" = ax-train ] && echo "$p"; done; }

# same_model A B: the merged weights of two runs are the same bytes
same_model() {
	rm -rf "$tmp/ma" "$tmp/mb"
	"$bin/ax-merge" -q --dtype f32 "$1" "$tmp/ma" && "$bin/ax-merge" -q --dtype f32 "$2" "$tmp/mb" &&
		cmp "$tmp/ma/model.safetensors" "$tmp/mb/model.safetensors"
}

# losses A B: the losses of two runs, step by step, as text
same_losses() {
	for f in "$1" "$2"; do sed 's/, "tokens_per_second".*//' "$f/metrics.jsonl" >"$f/losses.txt"; done
	cmp "$1/losses.txt" "$2/losses.txt"
}

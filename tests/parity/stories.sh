#!/bin/sh
# A real small model (stories260K, one file and three bf16 shards) fine-tuned on Shakespeare: the same loss at each of 50
# steps on 1 to 4 ranks, DDP and FSDP; with $AX_PYTHON (torch, transformers) also transformers' loss of the merged folder
# on the evaluation rows. make check-long only.
assets=${AX_ASSETS:-../shared/assets}
[ -n "$AX_LONG" ] || { echo "ok 1 - stories260K # SKIP runs in make check-long"; exit 0; }
[ -d "$assets/models/stories260K" ] || { echo "ok 1 - stories260K # SKIP no assets"; exit 0; }
. tests/fault/common
cmp=$PWD/$BUILD/tests/parity/cmp_reference
assets=$(cd "$assets" && pwd)
cat >"$tmp/run.yaml" <<-Y
	base_model: $assets/models/stories260K/hf
	datasets:
	  - path: $assets/datasets/tinyshakespeare/input.txt
	    ds_type: text
	    type: completion
	val_set_size: 0.02
	sequence_len: 256
	sample_packing: true
	bf16: false
	learning_rate: 1e-3
	lr_scheduler: cosine
	warmup_steps: 5
	max_steps: 50
	micro_batch_size: 1
	save_strategy: "no"
Y
"$bin/ax-tokenize" -q -c "$tmp/run.yaml" -o "$tmp/t.axt" && "$bin/ax-pack" -q -o "$tmp/t.axp" "$tmp/t.axt" &&
	"$bin/ax-shard" -q --ranks 3 -o "$tmp/shards" "$tmp/t.axp" || { not_ok data; exit 1; }

run() { # run OUT RANKS STRATEGY [options]
	out=$tmp/$1 r=$2 s=$3
	shift 3
	launch=
	[ "$r" -gt 1 ] && launch="$mpirun -n $r"
	$launch "$bin/ax-train" -q -c "$tmp/run.yaml" --output-dir "$out" --global-batch 12 --strategy "$s" --threads 1 "$@" "$tmp/shards" >&2
}
check "1 rank" run one 1 ddp
for r in 2 3 4; do
	have_mpi || break
	for s in ddp fsdp; do
		run "$s$r" $r $s && check "$s, $r ranks: the same 50 losses within 1e-5" "$cmp" losses "$tmp/one/metrics.jsonl" "$tmp/$s$r/metrics.jsonl" 1e-5
	done
done
check "bf16 base in three files" run sharded 1 ddp --base-model "$assets/models/stories260K/hf-bf16-sharded" --max-steps 3
check "merge" "$bin/ax-merge" -q "$tmp/one" "$tmp/merged"
check "the loss fell" awk 'match($0, /"loss": [0-9.]+/) { v = substr($0, RSTART + 8, RLENGTH - 8) + 0; if (!n++) first = v; last = v }
	END { exit !(n == 50 && last < first - 0.3) }' "$tmp/one/metrics.jsonl"
if [ -n "$AX_PYTHON" ]; then
	"$bin/ax-tokenize" -q -c "$tmp/run.yaml" --print | grep '"split": *"eval"' >"$tmp/eval.jsonl"
	ours=$(grep -o '"eval_loss": [0-9.]*' "$tmp/one/metrics.jsonl" | tail -1 | sed 's/.* //')
	theirs=$("$AX_PYTHON" "${AX_PEERS:-../shared/peers}/hf_loss.py" "$tmp/merged" "$tmp/eval.jsonl" | sed 's/.*loss //')
	echo "# eval loss: ours $ours, transformers' $theirs" >&2
	check "transformers' evaluation loss within 1e-4" awk -v a="$ours" -v b="$theirs" 'BEGIN { d = a - b; exit !(a > 0 && d < 1e-4 && d > -1e-4) }'
else
	n=$((n + 1))
	echo "ok $n - transformers' loss # SKIP no AX_PYTHON"
fi

#!/bin/sh
# Ten AdamW steps of tiny models through the tools, on 1, 2 and 3 ranks, against what PyTorch gave in double precision:
# losses and merged weights within 1e-5. make check runs two families, make check-long all.
assets=${AX_ASSETS:-../shared/assets}
tiny=$assets/models/tiny
[ -d "$tiny" ] || { echo "ok 1 - tiny models # SKIP no assets"; exit 0; }
bin=$PWD/$BUILD/bin cmp=$PWD/$BUILD/tests/parity/cmp_reference
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mpirun=${AX_MPIRUN:-mpirun --oversubscribe --bind-to none}
families='llama qwen3'
[ -n "$AX_LONG" ] && families='llama llama3-rope llama-tied-bias mistral qwen2 qwen3 smollm3'
ranks='1 2 3'
[ -e "$BUILD/lib/ax/libax-mpi.so" ] && command -v mpirun >/dev/null 2>&1 || ranks=1
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
n=0

# Packed: the longest document is 30 tokens, so 30 gives two packs. Separate: one row a pack.
for family in $families; do
	"$cmp" rows "$tiny/$family/reference.safetensors" >"$tmp/rows.jsonl"
	for packing in true false; do
		cat >"$tmp/run.yaml" <<-Y
			base_model: $(cd "$tiny/$family" && pwd)
			datasets:
			  - path: $tmp/rows.jsonl
			sequence_len: 32
			sample_packing: $packing
			bf16: false
			learning_rate: 0.002
			lr_scheduler: cosine
			warmup_steps: 3
			max_steps: 10
			adam_beta2: 0.95
			adam_beta1: 0.9
			weight_decay: 0.1
			max_grad_norm: 1.0
			save_strategy: "no"
			curriculum_sampling: true
		Y
		rm -rf "$tmp/shards"
		"$bin/ax-tokenize" -q -c "$tmp/run.yaml" | "$bin/ax-pack" -q | "$bin/ax-shard" -q -o "$tmp/shards" || {
			n=$((n + 1))
			echo "not ok $n - $family packing $packing: data"
			continue
		}
		batch=3
		[ $packing = true ] && batch=2
		for r in $ranks; do
			n=$((n + 1))
			name="$family, packing $packing, $r ranks"
			launch=
			[ "$r" -gt 1 ] && launch="$mpirun -n $r"
			strategy=fsdp
			[ "$r" -eq 2 ] && [ $packing = true ] && strategy=ddp
			rm -rf "$tmp/out"
			$launch "$bin/ax-train" -q -c "$tmp/run.yaml" --output-dir "$tmp/out" --global-batch $batch --strategy $strategy \
				--threads 1 "$tmp/shards" >&2 &&
				"$bin/ax-merge" -q --dtype f32 "$tmp/out" "$tmp/out/merged" >&2 &&
				"$cmp" check "$tiny/$family/reference.safetensors" "$tmp/out/metrics.jsonl" "$tmp/out/merged" 1e-5 &&
				echo "ok $n - $name" || echo "not ok $n - $name"
		done
	done
done

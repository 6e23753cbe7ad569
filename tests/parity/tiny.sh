#!/bin/sh
# Ten AdamW steps of tiny models through the tools, on 1, 2 and 3 ranks, against what PyTorch gave in double precision:
# losses and merged weights within 1e-5. make check runs two families, make check-long all.
. tests/parity/tiny_common
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
		prepare "$family" $packing || {
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
				as_pytorch "$family" && echo "ok $n - $name" || echo "not ok $n - $name"
		done
	done
done

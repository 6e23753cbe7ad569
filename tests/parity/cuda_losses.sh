#!/bin/sh
# The tiny models and stories260K on the simulated GPU, on 1, 2 and 4 ranks: the losses of the CPU over 20 steps within 1e-5
# (f32) and 1e-2 (bf16), in each order of streams, in which the weights at the end are the same bits. make check-long runs
# all; make check one.
. tests/parity/cuda_common
models=smollm3 types=f32
if [ -n "$AX_LONG" ]; then
	models="$(ls "$assets/models/tiny" | grep -v '\.') stories260K" types='f32 bf16'
else
	layouts=fsdp2
	have_mpi || layouts=one
fi
models=${AX_MODELS:-$models} layouts=${AX_LAYOUTS:-$layouts}
seed=0

# far A B: the largest difference of the losses of two runs; nan if they are not as many as there were steps
far() {
	only_losses "$1" >"$tmp/losses.a"
	only_losses "$2" >"$tmp/losses.b"
	paste "$tmp/losses.a" "$tmp/losses.b" | awk -v steps=$steps '
		NF != 2 { bad = 1 }
		{ d = $1 - $2; if (d < 0) d = -d; if (!(d <= most)) most = d; n++ }
		END { if (bad || n != steps) print "nan"; else printf "%.3g\n", most }'
}

# Orders of streams; "free" is without --deterministic.
if [ -n "$AX_LONG" ]; then orders='eager lazy ahead random random free'; else orders='random free'; fi
orders=${AX_ORDERS:-$orders}
cell() { # cell MODEL TYPE LAYOUT: the largest difference in $worst, the runs in $count
	limit=1e-5 bf16=false worst=0 count=0 first=
	[ "$2" = bf16 ] && limit=1e-2 bf16=true
	for order in $orders; do
		case $3:$order in keep*:[ela]* | *staged*:[ela]*) continue ;; esac # the main ones in all orders, these in random ones
		out=$tmp/gpu.$order exact=--deterministic streams=$order
		[ $order = random ] && seed=$((seed + 1))
		[ $order = free ] && seed=$((seed + 1)) exact= streams=random
		rm -rf "$out"
		# shellcheck disable=SC2086
		gpu "$1" $bf16 "$3" "$out" CUDASIM_STREAMS=$streams CUDASIM_SEED=$seed $exact || { echo "# $order, seed $seed: failed"; return 1; }
		count=$((count + 1))
		d=$(far "$tmp/cpu.$2" "$out")
		worst=$(awk -v a="$d" -v b="$worst" 'BEGIN { if (a == "nan" || b == "nan") print "nan"; else print (a + 0 > b + 0) ? a : b }')
		[ $order = free ] && continue
		[ -n "$first" ] || { first=$tmp/first; rm -rf "$first"; mv "$out" "$first"; continue; }
		bytes "$first" "$out" || { echo "# $order, seed $seed: other weights"; return 1; }
	done
	awk -v d="$worst" -v limit=$limit 'BEGIN { exit !(d ~ /^[0-9]/ && d + 0 <= limit + 0) }'
}

run=0
for model in $models; do
	prepare "$model"
	case $? in
	0) run=$((run + 1)) ;;
	2) ok "$model # SKIP $(sed 's/.*config.json: //' "$tmp/err")" && continue ;;
	*) sed 's/^/# /' "$tmp/err" && not_ok "$model" && continue ;;
	esac
	for type in $types; do
		rm -rf "$tmp/cpu.$type"
		bf16=false
		[ $type = bf16 ] && bf16=true
		"$bin/ax-train" -q -c "$tmp/$model.yaml" --device cpu --output-dir "$tmp/cpu.$type" --bf16 $bf16 --global-batch 4 --threads 1 "$data" >&2 || {
			not_ok "$model $type on the CPU"
			continue
		}
		[ $type = f32 ] || echo "# $model: the CPU's own bf16 is $(far "$tmp/cpu.f32" "$tmp/cpu.bf16") from its f32"
		for where in $layouts; do
			if cell "$model" $type "$where"; then say=ok; else say=not_ok; fi
			$say "$model $type $where: $count runs, largest difference $worst"
			echo "$type $where $worst $model $count" >>"$tmp/all"
		done
	done
done
[ -n "$AX_MODELS" ] || [ -z "$AX_LONG" ] || check "models that ran: $run" [ $run -ge 8 ]
# What make check-long prints of a test that passes
awk '{ k = $1 " " $2; runs += $5; if (!(k in most) || $3 + 0 > most[k] + 0 || $3 == "nan") { most[k] = $3; model[k] = $4 } }
	END { for (k in most) print "#= " k ": largest difference " most[k] " (" model[k] ")" | "sort"; close("sort"); print "#= runs: " runs }' "$tmp/all"

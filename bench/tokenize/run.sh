#!/bin/sh
# Tokenizing speed beside peers, in one run. usage: bench/tokenize/run.sh TOKENIZERS TEXT [JAPANESE CHINESE [CHAT.jsonl]]
# README says what is measured; TOKENIZERS is a folder of model folders, the texts are made by corpus.py and chat.py.
#   AX_PEERS_PYTHON, AX_HF_PYTHON, AX_HF_RC_PYTHON   Pythons of peers; those not given are left out
#   MODELS   names of folders; REPEATS: rounds of ours, gigatoken and fastokens, in turn (default 3)
#   MIDDLE, SLOW: bytes for peers of 10 to 100 MB/s and below (20 MB, 3 MB), which run once
bin=${BUILD:-build}/bench/tokenize
here=$(dirname "$0")
models=${MODELS:-llama-3.1 qwen3 gpt-oss gpt2 deepseek-v3 llama-2 mistral-v1 gemma3}
repeats=${REPEATS:-3}
middle=${MIDDLE:-20000000} slow=${SLOW:-3000000}
[ -x "$bin/bench" ] && [ -x "$bin/chat" ] || { echo "build first: make bench" >&2; exit 2; }
[ $# -ge 2 ] || { sed -n 2,6p "$0" >&2; exit 2; }
folder=$1 text=$2 chat=$5
rows=$(mktemp) || exit 1
trap 'rm -f "$rows"' EXIT

peer() { # peer PYTHON NAME MODEL TEXT BYTES: one row, name first
	[ -z "$1" ] || "$1" "$here/peers.py" "$2" "$3" "$4" "$5" 2>/dev/null | cut -f2-
}

# Rows: name, load, bytes, speed, cycles a byte (ours), ids, checksum. Only those of the whole text share a checksum.
round() { # round FIRST MODEL TEXT
	"$bin/bench" "$2" "$3" | awk -F'\t' -v OFS='\t' '{ $1 = "ours"; print }'
	for p in gigatoken gigatoken-file fastokens; do
		peer "$AX_PEERS_PYTHON" "$p" "$2" "$3" 0
	done
	[ "$1" = 1 ] || return
	peer "$AX_HF_RC_PYTHON" hf "$2" "$3" "$middle"
	peer "$AX_HF_PYTHON" hf "$2" "$3" "$slow"
}

table() { # table NAME MODEL TEXT: medians of the rounds
	: >"$rows"
	for i in $(seq "$repeats"); do
		round "$i" "$2" "$3" >>"$rows"
	done
	echo "$1"
	awk -F'\t' '
		function median(list,   n, x, i, j, t) {
			n = split(list, x, " ")
			for (i = 2; i <= n; i++) for (j = i; j > 1 && x[j - 1] + 0 > x[j] + 0; j--) { t = x[j]; x[j] = x[j - 1]; x[j - 1] = t }
			return n % 2 ? x[(n + 1) / 2] : (x[n / 2] + x[n / 2 + 1]) / 2
		}
		!($1 in speed) { order[++n] = $1 }
		{
			ours = $1 == "ours"
			sub(/^load /, "", $2)
			load[$1] = load[$1] " " ($2 + 0); bytes[$1] = $3 + 0; speed[$1] = speed[$1] " " ($4 + 0)
			if (ours) cycles = cycles " " ($5 + 0)
			ids[$1] = ours ? $6 : $5; sum[$1] = ours ? $7 : $6
		}
		END {
			for (i = 1; i <= n; i++) if (order[i] != "ours" && median(speed[order[i]]) > best) { best = median(speed[order[i]]); who = order[i] }
			for (i = 1; i <= n; i++) {
				p = order[i]
				printf "  %-24s %8.1f MB/s  load %5.0f ms  %4d MB  ", p, median(speed[p]), median(load[p]), bytes[p] / 1e6
				if (p == "ours")
					printf "%s%s\n", sprintf("%.1f cycles a byte", median(cycles)), best ? sprintf("  %.2fx %s", median(speed[p]) / best, who) : ""
				else if (bytes[p] != bytes["ours"])
					printf "%.1fx\n", median(speed["ours"]) / median(speed[p])
				else
					printf "%.2fx  %s\n", median(speed["ours"]) / median(speed[p]), sum[p] == sum["ours"] ? "same ids" : ids[p] == ids["ours"] ? "other ids" : "other ids (" ids[p] ")"
			}
		}' "$rows"
}

uptime
for model in $models; do
	table "$model" "$folder/$model" "$text"
done
[ -n "$3" ] && table "qwen3, Japanese" "$folder/qwen3" "$3"
[ -n "$4" ] && table "qwen3, Chinese" "$folder/qwen3" "$4"

if [ -n "$chat" ]; then
	echo "conversations to ids and mask, MB/s of rendered text; JSON alone; the rendered text alone; share of that"
	for model in qwen3 llama-3.1; do
		"$bin/chat" -r "$repeats" "$folder/$model" "$chat" | awk -F'\t' -v m="$model" '{ printf "  %-24s %s  %s  %s  %s\n", m, $3, $4, $5, $6 }'
	done
fi

echo "one thread and two, wall clock"
for model in llama-3.1 qwen3; do
	for i in $(seq "$repeats"); do
		"$bin/bench" -q -w "$folder/$model" "$text"
		"$bin/bench" -q -t 2 "$folder/$model" "$text"
	done | awk -F'\t' -v m="$model" '{ x = $4 + 0; if (NR % 2) { if (x > one) one = x } else if (x > two) two = x }
		END { printf "  %-24s %8.1f MB/s  %8.1f MB/s  %.2fx (fastest of each)\n", m, one, two, two / one }'
done

echo "load, ms of processor time (median of 9)"
for model in $models; do
	for i in 1 2 3 4 5 6 7 8 9; do
		"$bin/bench" -q -n 100 "$folder/$model" "$text"
	done | awk -F'\t' '{ sub(/^load /, "", $2); print $2 + 0 }' | sort -n | awk -v m="$model" 'NR == 5 { printf "  %-24s %5d\n", m, $1 }'
done

echo "worst cases, 10 MB in one document, MB/s"
sh "$here/worst.sh" "$folder" $models
uptime

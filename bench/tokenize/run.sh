#!/bin/sh
# Tokenizing speed beside peers, in one run. usage: bench/tokenize/run.sh TOKENIZERS TEXT [JAPANESE CHINESE]
# README says what is measured; TOKENIZERS is a folder of model folders, the texts are made by corpus.py.
#   PEERS    "gigatoken gigatoken-file fastokens hf" of AX_PEERS_PYTHON, "hf" of AX_HF_RC_PYTHON (1.0 rc) and AX_HF_PYTHON
#            (0.23.2): each is left out where its Python is not given
#   MODELS   names of folders; REPEATS: runs of each, in turn (default 3); SLOW: bytes for peers below 10 MB/s (5 MB)
bin=${BUILD:-build}/bench/tokenize/bench
here=$(dirname "$0")
models=${MODELS:-llama-3.1 qwen3 gpt-oss gpt2 deepseek-v3 llama-2 mistral-v1 gemma3}
repeats=${REPEATS:-3}
slow=${SLOW:-5000000}
[ -x "$bin" ] || { echo "build first: make bench" >&2; exit 2; }
[ $# -ge 2 ] || { sed -n 2,6p "$0" >&2; exit 2; }
folder=$1 text=$2
rows=$(mktemp) || exit 1
trap 'rm -f "$rows"' EXIT

peers() { # peers MODEL TEXT: one round
	"$bin" "$1" "$2" | awk -F'\t' '{ sub(/^load /, "", $2); print "ours\t" $2 "\t" $4 "\t" $6 "\t" $7 }'
	[ -n "$AX_PEERS_PYTHON" ] && for p in gigatoken gigatoken-file fastokens; do
		"$AX_PEERS_PYTHON" "$here/peers.py" $p "$1" "$2" 2>/dev/null
	done
	[ -n "$AX_HF_RC_PYTHON" ] && "$AX_HF_RC_PYTHON" "$here/peers.py" hf "$1" "$2" 2>/dev/null
	[ -n "$AX_HF_PYTHON" ] && "$AX_HF_PYTHON" "$here/peers.py" hf "$1" "$2" "$slow" 2>/dev/null
}

table() { # table NAME MODEL TEXT: medians of the rounds
	: >"$rows"
	for i in $(seq "$repeats"); do
		peers "$2" "$3" | awk -F'\t' '$1 == "ours" { print; next } { sub(/^load /, "", $3); print $2 "\t" $3 "\t" $5 "\t" $6 "\t" $7 }' >>"$rows"
	done
	echo "$1"
	awk -F'\t' '
		function median(list,   n, x, i, j, t) {
			n = split(list, x, " ")
			for (i = 2; i <= n; i++) for (j = i; j > 1 && x[j - 1] + 0 > x[j] + 0; j--) { t = x[j]; x[j] = x[j - 1]; x[j - 1] = t }
			return n % 2 ? x[(n + 1) / 2] : (x[n / 2] + x[n / 2 + 1]) / 2
		}
		!($1 in speed) { order[++n] = $1 }
		{ speed[$1] = speed[$1] " " ($3 + 0); load[$1] = load[$1] " " ($2 + 0); ids[$1] = $4; sum[$1] = $5 }
		END {
			for (i = 1; i <= n; i++) if (order[i] != "ours" && median(speed[order[i]]) > best) best = median(speed[order[i]])
			for (i = 1; i <= n; i++) {
				p = order[i]
				printf "  %-24s %8.1f MB/s  load %5.0f ms  %s%s\n", p, median(speed[p]), median(load[p]), ids[p],
					p == "ours" && best ? sprintf("  %.2fx the best peer", median(speed[p]) / best) : ids[p] == ids["ours"] && sum[p] != sum["ours"] ? "  (other ids)" : ""
			}
		}' "$rows"
}

for model in $models; do
	table "$model" "$folder/$model" "$text"
done
[ -n "$3" ] && table "qwen3, Japanese" "$folder/qwen3" "$3"
[ -n "$4" ] && table "qwen3, Chinese" "$folder/qwen3" "$4"
echo "two threads over one (wall clock)"
for model in llama-3.1 gemma3; do
	one=$("$bin" -w -r "$repeats" "$folder/$model" "$text" | awk -F'\t' '{ print $4 + 0 }')
	two=$("$bin" -t 2 -r "$repeats" "$folder/$model" "$text" | awk -F'\t' '{ print $4 + 0 }')
	echo "$model $one $two" | awk '{ printf "  %-24s %8.1f MB/s  %8.1f MB/s  %.2fx\n", $1, $2, $3, $3 / $2 }'
done
echo "worst cases, 10 MB in one document"
for what in a ' ' '😀'; do
	awk -v s="$what" 'BEGIN { n = 10000000 / (s == "a" || s == " " ? 1 : 4); for (i = 0; i < n; i++) printf "%s", s }' >"$rows"
	for model in llama-3.1 gemma3; do
		"$bin" -d 0 "$folder/$model" "$rows" | awk -F'\t' -v m="$model" -v s="$what" '{ printf "  %-20s \"%s\" %8.1f MB/s\n", m, s, $4 }'
	done
done

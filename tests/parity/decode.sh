#!/bin/sh
# Texts of ids (ax-tokenize --decode) against Hugging Face tokenizers 0.23.2, for every tokenizer among the assets that it loads
# (a minute or two: only AX_LONG=1). AX_N: lists of ids a tokenizer.
python=${AX_PYTHON:-python3}
assets=${AX_ASSETS:-../shared/assets}
skip() {
	echo "ok 1 - texts of random ids # SKIP $1"
	exit 0
}
[ "${AX_LONG:-0}" = 1 ] || skip 'long (AX_LONG=1)'
[ -d "$assets/tokenizers" ] || skip 'no assets'
[ "$("$python" -c 'import tokenizers; print(tokenizers.__version__)' 2>/dev/null)" = 0.23.2 ] || skip 'no Python package tokenizers 0.23.2'
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
for from in "$assets"/tokenizers/*/tokenizer.json*; do
	name=$(basename "$(dirname "$from")")
	case $name in tiny-metapt | tiny-ortx-added-tokens | tiny-swift) continue ;; esac # refused by both
	mkdir -p "$tmp/$name"
	case $from in
	*.gz) gzip -dc "$from" >"$tmp/$name/tokenizer.json" ;;
	*) cp "$from" "$tmp/$name/tokenizer.json" ;;
	esac
done
"$python" tests/parity/decode.py "${BUILD:-build}/bin/ax-tokenize" "${AX_N:-300}" "${AX_SEED:-1}" "$tmp"/*

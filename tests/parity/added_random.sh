#!/bin/sh
# Texts full of random added tokens against Hugging Face tokenizers 0.23.2 (minutes: only AX_LONG=1). AX_ROUNDS: sets of tokens a tokenizer.
python=${AX_PYTHON:-python3}
assets=${AX_ASSETS:-../shared/assets}
gen=${BUILD:-build}/tests/parity/gen_ids
skip() {
	echo "ok 1 - texts full of added tokens # SKIP $1"
	exit 0
}
[ "${AX_LONG:-0}" = 1 ] || skip 'long (AX_LONG=1)'
[ -d "$assets/tokenizers" ] || skip 'no assets'
[ "$("$python" -c 'import tokenizers; print(tokenizers.__version__)' 2>/dev/null)" = 0.23.2 ] || skip 'no Python package tokenizers 0.23.2'
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
for name in gpt2 qwen3 smollm phi-2 modernbert llama-3.1 deepseek-v3 mistral-v3 gemma3 gpt-oss; do
	from=$assets/tokenizers/$name/tokenizer.json
	mkdir "$tmp/$name"
	if [ -r "$from" ]; then
		cp "$from" "$tmp/$name"
	elif [ -r "$from.gz" ]; then
		gzip -dc "$from.gz" >"$tmp/$name/tokenizer.json"
	else
		rm -r "$tmp/$name"
	fi
done
RUST_BACKTRACE=0 "$python" tests/parity/added_random.py "$gen" "${AX_ROUNDS:-20}" "${AX_SEED:-1}" "$tmp"/*/tokenizer.json

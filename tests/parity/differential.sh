#!/bin/sh
# Ids against Hugging Face tokenizers 0.23.2 on mixed and mutated text, for every tokenizer among the assets (minutes:
# only AX_LONG=1). AX_CORPUS: text files to take it from, in place of what lies here; AX_MB: megabytes a tokenizer.
python=${AX_PYTHON:-python3}
assets=${AX_ASSETS:-../shared/assets}
gen=${BUILD:-build}/tests/parity/gen_ids
skip() {
	echo "ok 1 - ids of mutated text # SKIP $1"
	exit 0
}
[ "${AX_LONG:-0}" = 1 ] || skip 'long (AX_LONG=1)'
[ -d "$assets/tokenizers" ] || skip 'no assets'
[ "$("$python" -c 'import tokenizers; print(tokenizers.__version__)' 2>/dev/null)" = 0.23.2 ] || skip 'no Python package tokenizers 0.23.2'
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
for name in gpt2 llama-2 llama-3.1 mistral-v1 mistral-v3 qwen3 gemma2 smollm phi-2 qwen2.5 gemma3 gpt-oss minimind deepseek-v3 roberta-base \
	modernbert bert-base-cased t5-small mistral-v1-legacy tiny-gemma-cropped tiny-hw-doc-summarizer tiny-sqlpilot tiny-torchtitan tiny-torchtune tiny-torchtune-bpe; do
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
corpus=${AX_CORPUS:-$assets/vectors/hf-rust-goldens/inputs.json $(ls README.md ARCHITECTURE.md man/* lib/tok/*.c scripts/*.py)}
"$python" tests/parity/differential.py "$gen" "${AX_MB:-2}" "${AX_SEED:-1}" "$tmp"/*/tokenizer.json -- $corpus

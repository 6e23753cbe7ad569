#!/bin/sh
# Exact masks of random conversations through every chat template of the assets, against what the rendered text shows (minutes:
# only AX_LONG=1). AX_ROWS: conversations a template and tokenizer.
python=${AX_PYTHON:-python3}
assets=${AX_ASSETS:-../shared/assets}
skip() {
	echo "ok 1 - masks of random conversations # SKIP $1"
	exit 0
}
[ "${AX_LONG:-0}" = 1 ] || skip 'long (AX_LONG=1)'
[ -d "$assets/tokenizers" ] || skip 'no assets'
"$python" -c 'import tokenizers, transformers, jinja2' 2>/dev/null || skip 'no Python packages tokenizers, transformers, jinja2'
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
for name in llama-3.1 qwen3 gemma3 mistral-v3; do
	cp -R "$assets/tokenizers/$name" "$tmp/$name"
	[ ! -r "$tmp/$name/tokenizer.json.gz" ] || gzip -dcf "$tmp/$name/tokenizer.json.gz" >"$tmp/$name/tokenizer.json"
done
"$python" tests/parity/mask_random.py "${BUILD:-build}/bin/ax-tokenize" "${AX_ROWS:-100}" "${AX_SEED:-1}" "$tmp"/* -- "$assets"/vectors/chat-templates/*/*.jinja

#!/bin/sh
# Folders with a SentencePiece model and no tokenizer.json against transformers (minutes: only AX_LONG=1). AX_MB: megabytes a folder.
python=${AX_PYTHON:-python3}
assets=${AX_ASSETS:-../shared/assets}
gen=${BUILD:-build}/tests/parity/gen_ids
skip() {
	echo "ok 1 - SentencePiece models # SKIP $1"
	exit 0
}
[ "${AX_LONG:-0}" = 1 ] || skip 'long (AX_LONG=1)'
[ -d "$assets/tokenizers" ] || skip 'no assets'
"$python" -c 'import sentencepiece, google.protobuf, transformers, sys; sys.exit(transformers.__version__ < "5")' 2>/dev/null ||
	skip 'no Python packages transformers 5, sentencepiece, protobuf'
corpus=${AX_CORPUS:-$assets/vectors/hf-rust-goldens/inputs.json $(ls README.md ARCHITECTURE.md man/* lib/tok/*.c scripts/*.py)}
"$python" tests/parity/spm.py "$gen" "${AX_MB:-0.05}" "${AX_SEED:-1}" "$assets"/tokenizers/*/tokenizer.model -- $corpus

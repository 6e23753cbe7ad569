#!/bin/sh
# Randomly made tokenizer.json files against Hugging Face tokenizers 0.23.2 (a minute or two: only AX_LONG=1). AX_FILES: how many.
python=${AX_PYTHON:-python3}
gen=${BUILD:-build}/tests/parity/gen_ids
skip() {
	echo "ok 1 - random tokenizer.json files # SKIP $1"
	exit 0
}
[ "${AX_LONG:-0}" = 1 ] || skip 'long (AX_LONG=1)'
[ "$("$python" -c 'import tokenizers; print(tokenizers.__version__)' 2>/dev/null)" = 0.23.2 ] || skip 'no Python package tokenizers 0.23.2'
RUST_BACKTRACE=0 "$python" tests/parity/random_tokenizers.py "$gen" "${AX_FILES:-3000}" "${AX_SEED:-1}"

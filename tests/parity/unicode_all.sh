#!/bin/sh
# Normalizers and pre-tokenizers over all scalar values and over random sequences, against Hugging Face tokenizers 0.23.2, and the methods
# of str in templates over all scalar values against Python's (minutes: only
# AX_LONG=1). AX_SEED; AX_N: sequences.
python=${AX_PYTHON:-python3}
skip() {
	echo "ok 1 - normalizers and pre-tokenizers over all characters # SKIP $1"
	exit 0
}
[ "${AX_LONG:-0}" = 1 ] || skip 'long (AX_LONG=1)'
[ "$("$python" -c 'import tokenizers; print(tokenizers.__version__)' 2>/dev/null)" = 0.23.2 ] || skip 'no Python package tokenizers 0.23.2'
rc=0
"$python" tests/parity/str_methods.py "${BUILD:-build}/tests/parity/gen_render" || rc=1
"$python" tests/parity/unicode_all.py "${BUILD:-build}/tests/parity/gen_ids" "${AX_SEED:-1}" "${AX_N:-20000}" || rc=1
exit $rc

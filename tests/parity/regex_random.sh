#!/bin/sh
# Matches of random regexes against Oniguruma inside Hugging Face tokenizers 0.23.2 (minutes: only AX_LONG=1).
# AX_N: patterns, each on 10 texts; AX_SEED; AX_PATTERNS: a JSON list of patterns that must not be refused.
python=${AX_PYTHON:-python3}
skip() {
	echo "ok 1 - regexes # SKIP $1"
	exit 0
}
[ "${AX_LONG:-0}" = 1 ] || skip 'long (AX_LONG=1)'
[ "$("$python" -c 'import tokenizers; print(tokenizers.__version__)' 2>/dev/null)" = 0.23.2 ] || skip 'no Python package tokenizers 0.23.2'
exec "$python" tests/parity/regex_random.py "${BUILD:-build}/tests/parity/gen_matches" "${AX_N:-5000}" "${AX_SEED:-1}" ${AX_PATTERNS:+"$AX_PATTERNS"}

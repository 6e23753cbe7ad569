#!/bin/sh
# Built-in chat templates against Axolotl's own, rendered by Python's jinja2, on random conversations (a minute or two: only
# AX_LONG=1). AX_N: conversations a template; AX_SEED.
python=${AX_PYTHON:-python3}
assets=${AX_ASSETS:-../shared/assets}
skip() {
	echo "ok 1 - built-in templates on random conversations # SKIP $1"
	exit 0
}
[ "${AX_LONG:-0}" = 1 ] || skip 'long (AX_LONG=1)'
[ -d "$assets/vectors/chat-templates/axolotl" ] || skip 'no assets'
"$python" -c 'import jinja2' 2>/dev/null || skip 'no Python package jinja2'
"$python" tests/parity/templates.py "${BUILD:-build}/bin/ax-tokenize" "$assets/vectors/chat-templates/axolotl" "${AX_N:-3000}" "${AX_SEED:-1}"

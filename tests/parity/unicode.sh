#!/bin/sh
# The Unicode tables against the library that they were probed from, over all scalar values (minutes: only AX_LONG=1).
python=${AX_PYTHON:-python3}
if [ "${AX_LONG:-0}" != 1 ]; then
	echo "ok 1 - unicode tables # SKIP long (AX_LONG=1)"
elif [ "$("$python" -c 'import tokenizers; print(tokenizers.__version__)' 2>/dev/null)" != 0.23.2 ]; then
	echo "ok 1 - unicode tables # SKIP no Python package tokenizers 0.23.2"
elif "$python" scripts/gen_unicode.py --check lib/text/unicode_data.c >&2 &&
	"$python" scripts/gen_breaks.py --check lib/text/breaks_data.c >&2; then
	echo "ok 1 - unicode tables"
else
	echo "not ok 1 - unicode tables differ from tokenizers 0.23.2"
fi

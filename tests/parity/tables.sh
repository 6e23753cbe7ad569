#!/bin/sh
# Parquet, Arrow and CSV files of random tables against pyarrow and pandas (AX_PYTHON, a Python that has both).
# AX_TABLES: how many (40; 400 with AX_LONG=1); AX_SEED.
python=${AX_PYTHON:-python3}
gen=${BUILD:-build}/tests/parity/gen_rows
if ! "$python" -c 'import pandas, pyarrow; assert int(pyarrow.__version__.split(".")[0]) >= 21' 2>/dev/null; then
	echo "ok 1 - rows of random tables # SKIP no Python package pyarrow 21"
	exit 0
fi
[ "${AX_LONG:-0}" = 1 ] && n=400 || n=40
if found=$("$python" tests/parity/tables.py "$gen" "${AX_TABLES:-$n}" "${AX_SEED:-1}"); then
	echo "ok 1 - rows of random tables: $found"
else
	echo "$found" | sed 's/^/# /'
	echo "not ok 1 - rows of random tables"
fi

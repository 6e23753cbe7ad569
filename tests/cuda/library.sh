#!/bin/sh
# cuBLASLt is opened by name, that of CUDA 13 or of 12 (lib/tensor/cuda/lt_library.c): with either, with both, with neither and
# with one that is too old. The libraries here are empty ones.
cc=${CC:-gcc}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
flags="-std=c11 -D_GNU_SOURCE -Itests/cudasim/include -Ilib -DAX_LT_NAME=\"libaxtestLt.so.%d\""
n=0 bad=0
check() { # check NAME FOLDER PATTERN: what the program says with the libraries of that folder
	n=$((n + 1))
	LD_LIBRARY_PATH="$tmp/$2" "$tmp/open" >"$tmp/out" 2>&1
	if grep -q "$3" "$tmp/out"; then echo "ok $n - $1"; else bad=1 && echo "not ok $n - $1: $(cat "$tmp/out")"; fi
}

cat >"$tmp/open.c" <<-'C'
	#include <stdio.h>
	#include "tensor/cuda/lt.h"
	int main(void)
	{
		struct ax_err e = { 0 };
		cublasLtHandle_t h = NULL;
		int rc = ax_lt_library(&e);
		rc ? printf("error %d: %s\n", rc, e.msg) : printf("version %zu, status %d, again %d\n", cublasLtGetVersion(), (int)cublasLtCreate(&h), ax_lt_library(&e));
		return 0;
	}
C
# every name that the header declares and the plugin calls, but for those left out; cublasLtCreate fails with 7
library() { # library FOLDER MAJOR VERSION [LEFT_OUT]
	mkdir -p "$tmp/$1"
	{
		echo "unsigned long cublasLtGetVersion(void) { return $3; }"
		echo "int cublasLtCreate(void *p) { return 7; }"
		grep -o 'cublasLt[A-Za-z]*, *$\|X([a-zA-Z_ *]*, cublasLt[A-Za-z]*' lib/tensor/cuda/lt_library.c | grep -o 'cublasLt[A-Za-z]*' | sort -u |
			grep -vE "^(cublasLtGetVersion|cublasLtCreate|cublasLt[A-Za-z]*_t${4:+|$4})$" | sed 's/.*/int &(void) { return 0; }/'
	} >"$tmp/lib.c"
	$cc -shared -fPIC -w -o "$tmp/$1/libaxtestLt.so.$2" "$tmp/lib.c"
}
if ! $cc $flags -o "$tmp/open" "$tmp/open.c" lib/tensor/cuda/lt_library.c lib/base/err.c -ldl 2>"$tmp/log"; then
	sed 's/^/# /' "$tmp/log"
	echo "not ok 1 - compiles"
	exit 1
fi
library 12 12 120405 && library 13 13 130000 && library both 12 120405 && library both 13 130000 && library old 12 120000 cublasLtMatmulAlgoCheck || exit 1
mkdir "$tmp/none"
check "CUDA 12's" 12 '^version 120405, status 7, again 0$'
check "CUDA 13's" 13 '^version 130000, status 7, again 0$'
check "both: that of the headers" both '^version 130000, '
check "one without a function" old 'no cublasLtMatmulAlgoCheck: CUDA 12.4 or newer'
check "none" none 'neither libcublasLt.so.13 nor libcublasLt.so.12'
exit $bad

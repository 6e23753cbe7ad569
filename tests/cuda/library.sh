#!/bin/sh
# cuBLASLt and NCCL are opened by name (lib/tensor/cuda/lt_library.c, lib/comm/nccl_library.c): cuBLASLt of CUDA 13 or of 12, with
# either, with both, with neither and with one that is too old; NCCL likewise. The libraries here are empty ones.
cc=${CC:-gcc}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
flags="-std=c11 -D_GNU_SOURCE -Itests/cudasim/include -Ilib"
n=0 bad=0
check() { # check NAME PROGRAM FOLDER PATTERN: what the program says with the libraries of that folder
	n=$((n + 1))
	LD_LIBRARY_PATH="$tmp/$3" "$tmp/$2" >"$tmp/out" 2>&1
	if grep -q "$4" "$tmp/out"; then echo "ok $n - $1"; else bad=1 && echo "not ok $n - $1: $(cat "$tmp/out")"; fi
}
program() { # program NAME SOURCE NAME_OF_LIBRARY: with a main from standard input
	cat >"$tmp/$1.c"
	$cc $flags -D"$3" -o "$tmp/$1" "$tmp/$1.c" "$2" lib/base/err.c -ldl 2>"$tmp/log" && return
	sed 's/^/# /' "$tmp/log"
	echo "not ok 1 - compiles"
	exit 1
}
# every name that is called, but for those that the given code defines and the one left out
library() { # library SOURCE PREFIX FILE CODE [LEFT_OUT]
	mkdir -p "$tmp/${3%/*}"
	{
		echo "$4"
		grep -o "X([a-zA-Z_ *]*, $2[A-Za-z]*" "$1" | sed 's/.*, //' | sort -u | while read -r name; do
			case $4 in *"$name("*) continue ;; esac
			[ "$name" = "$5" ] || echo "int $name(void) { return 0; }"
		done
	} >"$tmp/lib.c"
	$cc -shared -fPIC -w -o "$tmp/$3" "$tmp/lib.c" || exit 1
}

program lt lib/tensor/cuda/lt_library.c 'AX_LT_NAME="libaxtestLt.so.%d"' <<-'C'
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
lt() { # lt FOLDER MAJOR VERSION [LEFT_OUT]
	library lib/tensor/cuda/lt_library.c cublasLt "$1/libaxtestLt.so.$2" \
		"unsigned long cublasLtGetVersion(void) { return $3; } int cublasLtCreate(void *p) { return 7; }" "$4"
}
mkdir "$tmp/none"
lt 12 12 120405
lt 13 13 130000
lt both 12 120405
lt both 13 130000
lt old 12 120000 cublasLtMatmulAlgoCheck
check "CUDA 12's" lt 12 '^version 120405, status 7, again 0$'
check "CUDA 13's" lt 13 '^version 130000, status 7, again 0$'
check "both: that of the headers" lt both '^version 130000, '
check "one without a function" lt old 'no cublasLtMatmulAlgoCheck: CUDA 12.4 or newer'
check "none" lt none 'neither libcublasLt.so.13 nor libcublasLt.so.12'

program nccl lib/comm/nccl_library.c 'AX_NCCL_NAME="libaxtestnccl.so.2"' <<-'C'
	#include <nccl.h>
	#include <stdio.h>
	#include "comm/wire.h"
	int main(void)
	{
		struct ax_err e = { 0 };
		int version = 0, rc = ax_nccl_library(&e);
		int status = rc ? 0 : (int)ncclGetVersion(&version);
		rc ? printf("error %d: %s\n", rc, e.msg) : printf("status %d, version %d, again %d\n", status, version, ax_nccl_library(&e));
		return 0;
	}
C
nccl='int ncclGetVersion(int *v) { *v = 21903; return 5; }'
library lib/comm/nccl_library.c nccl new/libaxtestnccl.so.2 "$nccl"
library lib/comm/nccl_library.c nccl older/libaxtestnccl.so.2 "$nccl" ncclCommSplit
check "NCCL" nccl new '^status 5, version 21903, again 0$'
check "NCCL without a function" nccl older 'no ncclCommSplit: NCCL 2.18 or newer'
check "no NCCL" nccl none 'NCCL cannot be loaded: libaxtestnccl.so.2.*AX_WIRE=staged'
exit $bad

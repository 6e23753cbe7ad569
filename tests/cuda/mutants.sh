#!/bin/sh
# Each barrier and each wait of the kernels is removed in turn; the op suite in the checker's build must notice. One that
# nobody misses is redundant or untested: it fails here unless tests/cuda/mutants.known lists it with the reason.
# usage: AX_LONG=1 BUILD=build sh tests/cuda/mutants.sh [file...]     about 10 s a mutant; in make check-long
: "${BUILD:=build}"
[ "$AX_LONG" ] || { echo "ok 1 - mutants # SKIP only in make check-long"; exit 0; }
[ -f "$BUILD/sim-mutant/flags" ] || { echo "ok 1 - mutants # SKIP not in this build"; exit 0; }
. "$BUILD/sim-mutant/flags" # SIM_COMPILE, SIM_LINK, SIM_OBJECTS, SIM_LIBS
dir=$BUILD/sim-mutant
known=tests/cuda/mutants.known
pattern='(__syncthreads|__syncwarp|ax_cp_wait<[^>]*>) *\([^()]*\);'
n=0 bad=0
mkdir -p "$dir/src" "$dir/lib/ax"

tests_for() { # tests_for FILE: those most likely to notice first
	for t in "$BUILD"/tests/op/test_*; do case $t in *.o | *.d) ;; *) echo "$t" ;; esac; done |
		awk -v name="$(basename "$1" | sed 's/[_.].*//')" '{ print (index($0, name) ? 0 : 1) " " $0 }' | sort | cut -d' ' -f2
}

objects_with() { # objects_with FILE: the plugin's, that one replaced by the mutant's
	for o in $SIM_OBJECTS; do
		case $o in */"$1.o") echo "$dir/mutant.o" ;; *) echo "$o" ;; esac
	done
}

# build MUTANT FILE: the plugin with MUTANT in place of FILE
build() {
	eval "$SIM_COMPILE" -w -x c++ -c -o "$dir/mutant.o" "$1" &&
		eval "$SIM_LINK" -o "$dir/lib/ax/libax-cuda.so" $(objects_with "$2") "$SIM_LIBS"
}

noticed() { # noticed FILE: does some test fail?
	for t in $(tests_for "$1"); do
		AX_TEST_DEVICE=sim-mutant timeout 300 "$t" >"$dir/out" 2>&1 || { by=$(basename "$t"); return 0; }
	done
	return 1
}

mutate() { # mutate FILE LINE
	text=$(sed -n "$2{s/^[ 	]*//;p}" "$1")
	n=$((n + 1))
	sed -E "$2s/$pattern/;/" "$1" >"$dir/src/mutant.cu"
	if ! build "$dir/src/mutant.cu" "$1" >"$dir/log" 2>&1; then
		bad=1
		echo "not ok $n - $1:$2 without \"$text\" does not compile"
		sed 's/^/# /' "$dir/log" | head -5
	elif noticed "$1"; then
		echo "ok $n - $1:$2 without \"$text\": $by"
	elif grep -qF "$(basename "$1"): $text" "$known" 2>/dev/null; then
		echo "ok $n - $1:$2 without \"$text\": known to be silent"
	else
		bad=1
		echo "not ok $n - $1:$2 without \"$text\": nobody noticed"
	fi
}

for f in ${*:-lib/tensor/cuda/*.cu}; do
	for line in $(grep -nE "$pattern" "$f" | cut -d: -f1); do
		mutate "$f" "$line"
	done
done
[ $n -gt 0 ] || echo "ok 1 - no barriers to remove"
exit $bad

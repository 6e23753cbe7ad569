#!/bin/sh
# Each barrier and each wait of the kernels, and each event and wait of the host's code, is removed in turn; a test on the
# checker's build must notice. One that nobody misses is redundant or untested: it fails here, unless mutants.known has a
# line "FILE: TEXT before NEXT LINE: why".
# usage: AX_LONG=1 BUILD=build sh tests/cuda/mutants.sh [FILE[:LINE]...]     AX_MUTANT_JOBS: at a time (default 2)
: "${BUILD:=build}"
[ "$AX_LONG" ] || { echo "ok 1 - mutants # SKIP only in make check-long"; exit 0; }
[ -f "$BUILD/sim-mutant/flags" ] || { echo "ok 1 - mutants # SKIP not in this build"; exit 0; }
. "$BUILD/sim-mutant/flags" # SIM_CXX, SIM_CC, SIM_VERSION, SIM_LINK, SIM_OBJECTS, SIM_LIBS
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
all=$BUILD/sim-mutant known=tests/cuda/mutants.known
kernel='(__syncthreads|__syncwarp|__threadfence|ax_cp_wait<[^>]*>|ax_cp_commit) *\(([A-Z_0-9]*)\);'
host='(cuda(StreamWaitEvent|EventRecord|EventSynchronize|StreamSynchronize|DeviceSynchronize)|ax_cuda_wait|ax_wire_reached)\([^()]*\)'
no_call='(AX_DEVICE|static|bool|cudaError_t)|[ 	]*(\*|/\*|//)' # definitions and comments

pattern() { # pattern FILE: what may be removed of it
	case $1 in *.c) echo "$host" ;; *) echo "$kernel" ;; esac
}

# places FILE: "LINE.K" for the K-th thing to remove of a line
places() {
	grep -nE "$(pattern "$1")" "$1" | grep -vE "^[0-9]+:($no_call)" | cut -d: -f1 | while read -r line; do
		sed -n "${line}p" "$1" | grep -oE "$(pattern "$1")" | awk -v line="$line" '{ print line "." NR }'
	done
}

removed() { # removed FILE PLACE: the code
	sed -n "${2%.*}p" "$1" | grep -oE "$(pattern "$1")" | sed -n "${2#*.}p"
}

remove() { # remove FILE PLACE: the mutant's text
	case $(removed "$1" "$2") in
	ax_wire_reached*) by=true ;;
	*';') by=';' ;;
	*) by=cudaSuccess ;;
	esac
	sed -E "${2%.*}s/$(pattern "$1")/$by/${2#*.}" "$1"
}

# Tests, those first that are quick and most likely to notice (the first line): TEST[:CASE][@ORDER OF STREAMS].
tests_for() { # tests_for FILE
	case $1 in
	*/attn*) echo op/test_attn:differences op/test_attn:tiles ;;
	*/comm/*)
		echo dist/test_wire:in_flight@lazy dist/test_wire:in_flight@ahead dist/test_wire:closing@lazy dist/test_wire:held@lazy
		case $1 in */nccl.c) echo dist/test_wire:trouble ;; esac
		;;
	*/profile.c) echo op/test_device:profile op/test_device:profile@lazy ;;
	*/lt*) echo op/test_tuning op/test_tuning@lazy op/test_linear@random ;;
	*.c) echo op/test_device op/test_device@lazy op/test_device@ahead dist/test_wire:in_flight@lazy dist/test_wire:closing@random ;;
	*/norm* | */product*) echo op/test_linear ;;
	*/head* | */adamw* | */elem*) echo op/test_"$(basename "$1" .cu)" op/test_linear ;;
	*/device.h) echo op/test_elem op/test_head op/test_linear ;;
	*) echo op/test_elem op/test_linear ;;
	esac
	case $1 in
	*/comm/*) return ;; # what several ranks do, the ops do not
	*.c) echo op/test_tuning op/test_elem op/test_linear op/test_empty ;;
	*)
		echo op/test_device op/test_tuning op/test_elem op/test_linear op/test_empty op/test_head op/test_adamw op/test_threads op/test_attn
		for any in "$BUILD"/tests/op/test_*; do echo "op/$(basename "$any")"; done | grep -v '\.' # what this list has not
		;;
	esac
}

# build FILE PLACE: the plugin with the mutant in place of FILE, or of all that include it
build() {
	rm -rf "$dir/src" "$dir"/*.o
	mkdir -p "$dir/src/$(dirname "${1#lib/}")" "$dir/lib/ax"
	remove "$1" "$2" >"$dir/src/${1#lib/}"
	cmp -s "$1" "$dir/src/${1#lib/}" && { echo "nothing was removed"; return 1; }
	objects=
	for o in $SIM_OBJECTS; do
		source=${o#"$BUILD/cudasim/check/"}
		source=${source%.o}
		[ -e "$source" ] || source=$source.c
		new=$dir/$(basename "$o")
		if [ "$source" = "$1" ]; then
			compile "$dir/src/${1#lib/}" "$new" || return 1
			o=$new
		elif grep -qF " $1" "${o%.o}.d"; then
			compile "$source" "$new" || return 1
			o=$new
		fi
		objects="$objects $o"
	done
	eval "$SIM_LINK" -o "$dir/lib/ax/libax-cuda.so" "$objects" "$SIM_LIBS"
}

compile() { # compile FILE OBJECT
	case $1 in
	*.c) eval "$SIM_CC -DAX_VERSION='\"$SIM_VERSION\"'" -w -iquote "$dir/src" -c -o "$2" "$1" ;;
	*) eval "$SIM_CXX" -w -iquote "$dir/src" -x c++ -c -o "$2" "$1" ;;
	esac
}

run_test() { # run_test TEST[:CASE][@ORDER]
	order=${1#*@} t=${1%@*}
	[ "$order" = "$1" ] && order=eager
	only=${t#*:} t=${t%:*}
	set -- "$BUILD/tests/$t"
	case $t:$only in
	dist/*:dist/*) ;;
	*:trouble) set -- env AX_TEST_ONLY="$only" "$@" ;;
	dist/*) set -- ${AX_MPIRUN:-mpirun --oversubscribe --bind-to none} -n 2 "$@" "$only" ;;
	op/*:op/*) ;;
	op/*) set -- env AX_TEST_ONLY="$only" "$@" ;;
	esac
	AX_TEST_DEVICE="$(basename "$dir")" CUDASIM_STREAMS=$order CUDASIM_STOP=1 CUDASIM_TIMEOUT=20 timeout 600 "$@" >"$dir/out" 2>&1
}

# noticed TEST...: does some test fail? Of a mutant that hangs, the time limit is the notice.
noticed() {
	seen=
	for one; do
		case " $seen " in *" $one "*) continue ;; esac
		seen="$seen $one"
		run_test "$one" && continue
		by=$(basename "$one")
		grep -q '^cudasim: ' "$dir/out" && by="$by, the simulator"
		return 0
	done
	return 1
}

# shellcheck disable=SC2086
mutate() { # mutate NUMBER FILE PLACE
	text=$(removed "$2" "$3")
	next=$(sed -n "$((${3%.*} + 1)){s/^[ 	]*//;p;q}" "$2")
	case $2 in */staged*) export AX_WIRE=staged ;; *) unset AX_WIRE ;; esac
	tests=$(tests_for "$2")
	name="$2:${3%.*} without \"$text\"" start=$(date +%s)
	if ! build "$2" "$3" >"$dir/log" 2>&1; then
		echo "not ok $1 - $name does not compile"
		sed 's/^/# /' "$dir/log" | head -5
	elif grep -qF "$(basename "$2"): $text before $next: " "$known" 2>/dev/null; then
		# shellcheck disable=SC2046
		if noticed $(echo "$tests" | head -n 1); then # another place with the same words
			echo "ok $1 - $name: $by ($(($(date +%s) - start)) s)"
		else
			echo "ok $1 - $name: known to be silent ($(($(date +%s) - start)) s)"
		fi
	elif noticed $tests; then
		echo "ok $1 - $name: $by ($(($(date +%s) - start)) s)"
	else
		echo "not ok $1 - $name: nobody noticed"
	fi
}

if [ "$1" = --job ]; then # --job NUMBER OF
	dir=$all-$2
	mkdir -p "$dir"
	awk -v k="$2" -v of="$3" 'NR % of == k % of { print NR + 1, $0 }' "$all/list" | while read -r number file place; do
		mutate "$number" "$file" "$place" </dev/null
	done
	rm -rf "$dir"
	exit 0
fi

# Without a mutant the same tests pass, and so it was the mutant that they noticed.
control() {
	dir=$all-0
	mkdir -p "$dir/lib/ax"
	eval "$SIM_LINK" -o "$dir/lib/ax/libax-cuda.so" "$SIM_OBJECTS" "$SIM_LIBS" || { echo "not ok 1 - the plugin links"; return; }
	while read -r f place; do tests_for "$f" | head -n 1; done <"$all/list" | sort -u >"$all/tests"
	# shellcheck disable=SC2046
	if noticed $(cat "$all/tests"); then
		echo "not ok 1 - without a mutant, $by fails"
		sed 's/^/# /' "$dir/out" | head -20
	else
		echo "ok 1 - without a mutant all passes"
	fi
	rm -rf "$dir"
}

jobs=${AX_MUTANT_JOBS:-2}
mkdir -p "$all"
for f in ${*:-lib/tensor/cuda/*.cu lib/tensor/cuda/*.h lib/tensor/cuda/*.c lib/comm/nccl*.c lib/comm/staged*.c lib/comm/wire*.c}; do
	case $f in
	*:*) places "${f%:*}" | sed -n "s|^\(${f#*:}\..*\)|${f%:*} \1|p" ;;
	*) places "$f" | sed "s|^|$f |" ;;
	esac
done >"$all/list"
[ -s "$all/list" ] || { echo "not ok 1 - there is nothing to remove"; exit 1; }
control
k=0
while [ $k -lt "$jobs" ]; do
	k=$((k + 1))
	AX_LONG=1 sh "$0" --job $k "$jobs" &
done
wait

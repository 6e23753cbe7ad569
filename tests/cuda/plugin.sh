#!/bin/sh
# ax-train beside a CUDA plugin that is not there, of another build, damaged, or without its libraries: one line that says so,
# and the CPU; with --device cuda status 6. The plugins are stubs, but for the damaged and the real one.
cc=${CC:-cc}
command -v "$cc" >/dev/null 2>&1 || { echo "ok 1 - plugins # SKIP no C compiler"; exit 0; }
. tests/cuda/common
result() { # result STATUS NAME
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else
		echo "not ok $n - $2"
		cat "$tmp/said" "$tmp/err" >&2
	fi
}

example 20 64 "learning_rate: 0.001" "max_steps: 2" "output_dir: $tmp/run"
# An installation of its own, whose plugin the cases replace.
mkdir -p "$tmp/ax/bin" "$tmp/ax/lib/ax" "$tmp/libs"
cp "$bin/ax-train" "$tmp/ax/bin"
plugin=$tmp/ax/lib/ax/libax-cuda.so
train() { "$tmp/ax/bin/ax-train" "$@" -c "$tmp/run.yaml" --overwrite --threads 1 "$tmp/shards" 2>"$tmp/err" >&2; }
losses() { sed 's/, "tokens_per_second".*//' "$tmp/run/metrics.jsonl"; }

# trains LINES PATTERN [OPTION...]: two steps with the losses of the CPU, and as many lines about CUDA, one of PATTERN
trains() {
	lines=$1 pattern=$2
	shift 2
	rm -rf "$tmp/run"
	train "$@" || return 1
	grep -iE 'cuda|gpu|using the CPU' "$tmp/err" >"$tmp/said"
	losses | cmp -s - "$tmp/want" && [ "$(wc -l <"$tmp/said")" -eq "$lines" ] && { [ "$lines" -eq 0 ] || grep -q "$pattern" "$tmp/said"; }
}
refuses() { # refuses PATTERN: --device cuda, in one line and before anything is written
	rm -rf "$tmp/run"
	train --device cuda
	status=$?
	: >"$tmp/said"
	[ $status -eq 6 ] && [ "$(wc -l <"$tmp/err")" -eq 1 ] && grep -q "error: .*$1" "$tmp/err" && [ ! -e "$tmp/run" ]
}
# broken NAME PATTERN: said once, with -q too
broken() {
	trains 1 "warning: .*$2.*: using the CPU$" && trains 1 "$2" -q
	result $? "$1: said in one line, trains on the CPU"
	refuses "$2"
	result $? "$1: --device cuda is refused"
	train --device cuda --plan && grep -q "warning: .*$2" "$tmp/err"
	result $? "$1: a plan for a GPU is made, and says so"
}

rm -rf "$tmp/run"
train --device cpu && losses >"$tmp/want" && [ "$(wc -l <"$tmp/want")" -eq 2 ]
result $? "the CPU without a plugin"
trains 0 ''
result $? "no plugin: nothing is said, trains"
refuses 'this build has no CUDA plugin.*make cuda'
result $? "no plugin: --device cuda is refused"

wall() { cat $(sed -n "s/^$1_WALL *:= *//p" Makefile) | cksum | cut -d' ' -f1; } # as the Makefile computes it
# stub VERSION SYMBOL CODE [LINK...]
stub() {
	cat >"$tmp/stub.c" <<-C
		#include "tensor/device.h"
		$3
		static int no(struct ax_dev *d, const struct ax_dev_opt *o, struct ax_err *e) { return use(); }
		const struct ax_dev_plugin $2 = { $1, AX_DEV_WALL ^ OTHER, sizeof(struct ax_dev) + AWAY, sizeof(struct ax_ops), no };
	C
	shift 3
	"$cc" -Ilib -shared -fPIC -DAWAY="${away:-0}" -DOTHER="${other:-0}" "-DAX_DEV_WALL=$(wall DEV)u" -DAX_VERSION="\"$(cat VERSION)\"" -o "$plugin" "$tmp/stub.c" "$@"
}
none='static int use(void) { return 0; }'
stub '"0.0.1"' ax_dev_plugin "$none" && broken "another version" 'is of another build (version 0.0.1'
away=8
stub AX_VERSION ax_dev_plugin "$none" && broken "another layout" 'is of another build'
away=0
other=1
stub AX_VERSION ax_dev_plugin "$none" && broken "of another commit" 'is of another build'
other=0
stub AX_VERSION ax_other "$none" && broken "not our plugin" 'libax-cuda.so is not a plugin of ax'

# libraries that are not there, or older ones that lack a function
for lib in libcudart.so.999 libcublasLt.so.999 libnccl.so.999; do # which no machine has
	echo 'int needed(void); int needed(void) { return 6; }' >"$tmp/lib.c"
	echo 'int other(void); int other(void) { return 6; }' >"$tmp/old.c"
	"$cc" -shared -fPIC -Wl,-soname,$lib -o "$tmp/libs/$lib" "$tmp/lib.c"
	stub AX_VERSION ax_dev_plugin 'int needed(void); static int use(void) { return needed(); }' "$tmp/libs/$lib" -Wl,-rpath,"$tmp/libs"
	rm "$tmp/libs/$lib"
	broken "no $lib" "cannot be opened: $lib: cannot open shared object"
	"$cc" -shared -fPIC -Wl,-soname,$lib -o "$tmp/libs/$lib" "$tmp/old.c"
	broken "an older $lib" 'cannot be opened: .*undefined symbol: needed'
done

rm -f "$plugin"
mkdir "$plugin"
broken "a folder" 'cannot be opened: .*libax-cuda.so'
rmdir "$plugin"
echo 'version https://git-lfs.github.com/spec/v1' >"$plugin"
for i in 1 2 3; do cat "$plugin" "$plugin" >"$tmp/text" && cp "$tmp/text" "$plugin"; done
broken "a text" 'cannot be opened: .*libax-cuda.so'

# A copy that was cut off anywhere: refused, never a crash.
for whole in "$BUILD/lib/ax/libax-cuda.so" "$BUILD/sim/lib/ax/libax-cuda.so"; do
	[ -e "$whole" ] || continue
	size=$(wc -c <"$whole")
	for at in 0 1 63 64 65 700 4096 65536 $((size / 4)) $((size / 2)) $((size * 9 / 10)) $((size - 4096)) $((size - 1)); do
		head -c $at "$whole" >"$plugin"
		refuses 'cannot be opened: .*libax-cuda.so' || break
	done
	result $? "${whole#"$BUILD"/}, cut off: refused, last at $at bytes of $size"
	broken "${whole#"$BUILD"/}, without its last byte" "libax-cuda.so is cut off ($((size - 1)) bytes): install it again"
done

# MPI's: from other headers it is refused, from the same ones it is opened.
rm -f "$plugin"
cat >"$tmp/mpi.c" <<-'C'
	#include "comm/plugin.h"
	static int no(struct ax_comm **c, struct ax_err *e) { return AX_ECOMM; }
	const struct ax_comm_plugin ax_comm_plugin = { AX_VERSION, AX_COMM_WALL ^ OTHER, sizeof(struct ax_comm), no };
C
for other in 1 0; do
	"$cc" -Ilib -shared -fPIC -DOTHER=$other "-DAX_COMM_WALL=$(wall COMM)u" -DAX_VERSION="\"$(cat VERSION)\"" -o "$tmp/ax/lib/ax/libax-mpi.so" "$tmp/mpi.c"
	OMPI_COMM_WORLD_SIZE=2 train
	[ $? -eq 6 ] && [ $((1 - $(grep -c 'libax-mpi.so belongs to version' "$tmp/err"))) -ne $other ]
	result $? "MPI plugin, made from $([ $other = 1 ] && echo other || echo the same) headers"
done
rm "$tmp/ax/lib/ax/libax-mpi.so"

# The real one, where it was built and there is no GPU.
if [ -e "$BUILD/lib/ax/libax-cuda.so" ] && ! [ -e /dev/nvidiactl ]; then
	cp "$BUILD/lib/ax/libax-cuda.so" "$plugin"
	trains 1 'there is no NVIDIA driver: using the CPU'
	result $? "the real plugin, no driver: said in one line, trains on the CPU"
	refuses 'there is no NVIDIA driver'
	result $? "the real plugin, no driver: --device cuda is refused"
else
	n=$((n + 1))
	echo "ok $n - the real plugin without a GPU # SKIP $([ -e /dev/nvidiactl ] && echo 'here is one' || echo 'not built')"
fi

#!/bin/sh
# Dependency direction: a folder may include only the folders named for it (ARCHITECTURE.md), each system header of a
# package appears only where it belongs, and only tools print to stdout or exit.
awk_table='
base:
text: base
fmt: base text
tok: base text fmt
conf: base text
data: base fmt text
tensor: base
comm: base
model: base text fmt tensor
optim: base tensor
dist: base text tensor comm model optim
train: base text fmt data tensor comm model optim dist
'
bad=0
note() { echo "# $*"; bad=1; }
for f in $(find lib -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' | sort); do
	dir=$(echo "$f" | cut -d/ -f2)
	allowed=$(printf '%s' "$awk_table" | sed -n "s/^$dir://p")
	for inc in $(sed -n 's/^[ \t]*#[ \t]*include "\([^"]*\)".*/\1/p' "$f"); do
		to=${inc%%/*}
		[ "$to" = "$inc" ] && { note "$f: include \"$inc\" without its folder"; continue; }
		case $f in lib/comm/nccl* | lib/comm/staged* | lib/comm/wire*) allowed="$allowed tensor" ;; esac # of the CUDA plugin
		case " $dir $allowed " in *" $to "*) ;; *) note "$f: lib/$dir may not include $inc" ;; esac
	done
done
only() { # only HEADER PATTERN-OF-ALLOWED-FILES
	for f in $(grep -lE "include <$1" -r lib tools 2>/dev/null); do
		echo "$f" | grep -qE "$2" || note "$f: <$1> belongs in $2 only"
	done
}
only 'cuda' '^lib/tensor/cuda/'
only 'nccl' '^lib/(tensor/cuda|comm/nccl)'
only 'mpi\.h' '^lib/comm/mpi'
only 'zstd' '^lib/fmt/(frame|zstd|unpack)'
only 'yaml\.h' '^lib/text/yaml'
only '(oneapi/|dnnl)' '^lib/tensor/cpu/dnnl'
only 'pcre2' '^lib/text/regex'
for f in $(grep -lE '\b(printf|puts|putchar) *\(|\bstdout\b|[^_a-z]exit *\(' -r lib --include='*.c' | sort); do
	case $f in lib/base/log.c | lib/base/opt.c | lib/base/io.c | lib/conf/cli.c) continue ;; esac
	grep -nE '(^|[^a-z_])(printf|puts|putchar) *\(|(^|[^A-Z_a-z"])stdout([^A-Za-z"]|$)|(^|[^_a-z])exit *\(' "$f" | grep -vE '^\S+:\s*(/?\*|//)' | sed "s|^|# $f:|" >/tmp/ax-lint.$$
	[ -s /tmp/ax-lint.$$ ] && { cat /tmp/ax-lint.$$; bad=1; }
	rm -f /tmp/ax-lint.$$
done
[ $bad -eq 0 ] && echo "ok 1 - include directions" || echo "not ok 1 - include directions"

#!/bin/sh
# Every kernel of the plugin, each instance of a template for itself, is run by the op suite, which compares what it leaves
# with the reference. As dispatch ends in an instance, these are the branches of dispatch. Which instances there are says
# the simulated plugin's symbol table, which functions are kernels the source; what ran, the simulator (CUDASIM_KERNELS).
plugin=$BUILD/sim/lib/ax/libax-cuda.so
[ -e "$plugin" ] || { echo "ok 1 - every kernel is tested # SKIP this build has no simulated plugin"; exit 0; }
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

# Names of kernels: what stands before the "(" of a definition with __global__, or with a macro that stands for it.
cat lib/tensor/cuda/*.cu lib/tensor/cuda/*.h | awk '
	/^#define/ && /__global__/ { macro[$2] = 1; next }
	{ text = text " " $0 }
	END {
		for (m in macro)
			gsub("[^A-Za-z0-9_]" m "[^A-Za-z0-9_]", " __global__ void ", text)
		while ((at = index(text, "__global__")) > 0) {
			text = substr(text, at + 10)
			rest = substr(text, 1, 400)
			sub(/^ *void /, "", rest)
			while (sub(/__launch_bounds__\([^()]*(\([^()]*\)[^()]*)*\)/, "", rest))
				;
			if (match(rest, /^[ \t]*[a-z_0-9]+\(/)) {
				rest = substr(rest, 1, RLENGTH)
				gsub(/[ \t(]/, "", rest)
				print rest
			}
		}
	}' | sort -u >"$tmp/names"

# offset, tab, demangled name of each instance; clones are parts of the function that they are named after
nm -C "$plugin" | grep -v '\[clone' | awk 'NR == FNR { kernel[$1] = 1; next }
	$2 ~ /^[tTwWu]$/ {
		name = $0
		sub(/^[^ ]* . /, "", name)
		base = name
		sub(/^void /, "", base)
		sub(/[<(].*/, "", base)
		if (base in kernel)
			print $1 "\t" name
	}' "$tmp/names" - | sort >"$tmp/all"

n=0
for t in "$BUILD"/tests/op/test_*; do
	case $t in *.o | *.d) continue ;; esac
	n=$((n + 1))
	if AX_TEST_DEVICE=sim CUDASIM_KERNELS="$tmp/ran" "$t" >"$tmp/log" 2>&1; then
		echo "ok $n - $(basename "$t")"
	else
		echo "not ok $n - $(basename "$t")"
		grep -vE '^ok' "$tmp/log" | head -20 | sed 's/^/# /'
	fi
done

awk '{ print $NF }' "$tmp/ran" | sort -u >"$tmp/offsets"
cut -f1 "$tmp/all" >"$tmp/known"
# shellcheck disable=SC2046
set -- $(wc -l <"$tmp/names") $(wc -l <"$tmp/all") $(comm -12 "$tmp/known" "$tmp/offsets" | wc -l)
n=$((n + 1))
if [ "$1" -gt 20 ] && [ "$2" -eq "$3" ]; then
	echo "ok $n - $1 kernels in $2 instances: all are tested"
else
	echo "not ok $n - $1 kernels in $2 instances, $3 are tested"
	comm -23 "$tmp/known" "$tmp/offsets" | join -t "$(printf '\t')" - "$tmp/all" | cut -f2 | sed 's/^/# never ran: /'
fi
n=$((n + 1))
if [ -s "$tmp/offsets" ] && [ -z "$(comm -13 "$tmp/known" "$tmp/offsets")" ]; then
	echo "ok $n - what ran is among them"
else
	echo "not ok $n - what ran is not among them: the names of kernels in the source were not understood"
	comm -13 "$tmp/known" "$tmp/offsets" | head | sed 's/^/# /'
fi

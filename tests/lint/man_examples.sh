#!/bin/sh
# Run the examples of the manual pages that are marked so: in EXAMPLES, a comment line .\" run before .Dl or .Bd.
# They run in the order of the pipeline in one scratch folder, which tests/lint/man_setup prepares; each must end with 0,
# or with the status N of .\" run N.
: "${BUILD:=build}"
BUILD=$(cd "$BUILD" && pwd) || exit 1
SRC=$(pwd)
PATH=$BUILD/bin:$PATH
export PATH SRC
for tool in tokenize pack shard train merge view; do
	[ -x "$BUILD/bin/ax-$tool" ] || { echo "ok 1 - manual examples # SKIP ax-$tool is not built"; exit 0; }
done
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/work" "$scratch/block"
cd "$scratch/work" || exit 1
if ! sh "$SRC/tests/lint/man_setup" >"$scratch/log" 2>&1; then
	echo "not ok 1 - preparing the examples"
	sed 's/^/# /' "$scratch/log" | tail -15
	exit 1
fi

# Write each marked example of a page to a file of its own: first line its status, then the commands.
blocks() { # blocks PAGE PREFIX
	awk -v prefix="$2" '
	function text(s) { gsub(/\\-/, "-", s); gsub(/\\&/, "", s); gsub(/\\\(aq/, "\047", s); gsub(/\\e/, "\\", s); return s }
	/^\.Sh / { inside = /EXAMPLES/ }
	!inside { next }
	/^\.\\" run/ { marked = 1; status = $3 == "" ? 0 : $3; next }
	marked && /^\.Dl / { file = sprintf("%s%03d", prefix, ++n); print status > file; print text(substr($0, 5)) > file; marked = 0; next }
	marked && /^\.Bd/ { file = sprintf("%s%03d", prefix, ++n); print status > file; copying = 1; marked = 0; next }
	/^\.Ed/ { copying = 0 }
	copying { print text($0) > file }' "$1"
}

n=0 bad=0
for page in ax-tokenize.1 ax-pack.1 ax-shard.1 ax-train.1 ax-merge.1 ax-view.1 ax-config.5 ax.7; do
	[ -f "$SRC/man/$page" ] || continue
	blocks "$SRC/man/$page" "$scratch/block/$page."
	found=
	for block in "$scratch/block/$page".*; do
		[ -f "$block" ] || continue
		found=1
		n=$((n + 1))
		want=$(head -1 "$block")
		sed 1d "$block" >"$scratch/cmd"
		timeout 120 sh -e "$scratch/cmd" </dev/null >"$scratch/log" 2>&1
		status=$?
		if [ "$status" -eq "$want" ]; then
			echo "ok $n - $page: $(head -1 "$scratch/cmd")"
		else
			echo "not ok $n - $page: $(head -1 "$scratch/cmd")"
			echo "# status $status, not $want"
			sed 's/^/# /' "$scratch/log" | tail -8
			bad=1
		fi
	done
	if [ -z "$found" ]; then
		n=$((n + 1))
		echo "ok $n - $page # SKIP no example is marked as runnable"
	fi
done
echo "1..$n"
exit $bad

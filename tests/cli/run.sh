#!/bin/sh
# Run the command-line cases: every folder of tests/cli with a file `cmd` is one.
#	cmd      sh script; runs in a scratch copy of the folder, with the tools first in PATH, $SRC the source tree
#	stdin    its standard input (else /dev/null)
#	stdout   what it must print, exactly (no file: nothing)
#	stderr   patterns (grep -E), one a line: each must match a line; after "!" none may (no file: anything goes)
#	exit     its exit status (no file: 0)
#	needs    commands, one a line, without which the case is skipped; one with arguments must succeed
# usage: BUILD=build tests/cli/run.sh [CASE...]		AX_BLESS=1: take what is printed as what must be
BUILD=$(cd "${BUILD:-build}" && pwd) || exit 1
PATH=$BUILD/bin:$PATH
export SRC BUILD PATH
unset AX_FAIL_ALLOC AX_FAIL_IO
LC_ALL=C.UTF-8
export LC_ALL
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
# Every case meets a path with a space, so that one that forgets to quote fails wherever the tree lies.
tree=$(pwd)
SRC="$scratch/the tree"
ln -s "$tree" "$SRC" || exit 1
n=0 bad=0

missing() { # missing CASE: the first needed command that is not there
	[ -f "$1/needs" ] || return 1
	while read -r command; do
		case $command in
		*' '*) sh -c "$command" </dev/null >/dev/null 2>&1 ;;
		*) command -v "$command" >/dev/null 2>&1 ;;
		esac || { echo "$command"; return 0; }
	done <"$1/needs"
	return 1
}

check_stderr() { # check_stderr PATTERNS ERR: says what is wrong
	while IFS= read -r pattern; do
		case $pattern in
		'') ;;
		!*) grep -qE -e "${pattern#!}" "$2" && echo "# stderr has what it must not: ${pattern#!}" ;;
		*) grep -qE -e "$pattern" "$2" || echo "# stderr has no line like: $pattern" ;;
		esac
	done <"$1"
}

run_case() {
	dir=$tree/tests/cli/$1
	rm -rf "$scratch/one case"
	cp -R "$dir" "$scratch/one case"
	input=/dev/null
	[ -f "$dir/stdin" ] && input=$dir/stdin
	(cd "$scratch/one case" && rm -f cmd stdin stdout stderr exit needs && exec timeout "${AX_CASE_TIMEOUT:-60}" sh "$dir/cmd") \
		<"$input" >"$scratch/out" 2>"$scratch/err"
	status=$?
	want=0
	[ -f "$dir/exit" ] && want=$(cat "$dir/exit")
	: >"$scratch/why"
	[ "$status" -eq "$want" ] || echo "# exit status $status, not $want" >>"$scratch/why"
	if [ -n "$AX_BLESS" ]; then
		rm -f "$dir/stdout"
		[ -s "$scratch/out" ] && cp "$scratch/out" "$dir/stdout"
	elif [ -f "$dir/stdout" ]; then
		cmp -s "$dir/stdout" "$scratch/out" || diff -u "$dir/stdout" "$scratch/out" | head -20 | sed 's/^/# /' >>"$scratch/why"
	elif [ -s "$scratch/out" ]; then
		head -5 "$scratch/out" | sed 's/^/# unexpected output: /' >>"$scratch/why"
	fi
	[ -f "$dir/stderr" ] && check_stderr "$dir/stderr" "$scratch/err" >>"$scratch/why"
	if [ -s "$scratch/why" ]; then
		echo "not ok $n - $1"
		cat "$scratch/why"
		sed 's/^/# stderr: /' "$scratch/err" | head -10
		bad=1
	else
		echo "ok $n - $1"
	fi
}

if [ $# -eq 0 ]; then
	for f in tests/cli/*/cmd; do
		set -- "$@" "$(basename "$(dirname "$f")")"
	done
fi
for case in "$@"; do
	n=$((n + 1))
	if lacks=$(missing "tests/cli/$case"); then
		echo "ok $n - $case # SKIP no $lacks"
	else
		run_case "$case"
	fi
done
echo "1..$n"
exit $bad

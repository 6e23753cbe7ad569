#!/bin/sh
# Completions that the tools print: accepted by the shells that are there, and bash really completes with them.
: "${BUILD:=build}"
n=0 bad=0
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
for bin in "$BUILD"/bin/ax-*; do
	[ -x "$bin" ] || continue
	tool=$(basename "$bin")
	for shell in bash zsh fish; do
		n=$((n + 1))
		name="$tool: $shell completion"
		if ! "$bin" --completion $shell >"$tmp/$tool.$shell" || [ ! -s "$tmp/$tool.$shell" ]; then
			echo "not ok $n - $name"
			bad=1
		elif ! command -v $shell >/dev/null 2>&1; then
			echo "ok $n - $name # SKIP no $shell"
		elif ! $shell -n "$tmp/$tool.$shell" 2>"$tmp/err"; then
			echo "not ok $n - $name"
			sed 's/^/# /' "$tmp/err" | head -5
			bad=1
		else
			echo "ok $n - $name"
		fi
	done
	command -v bash >/dev/null 2>&1 || continue
	n=$((n + 1))
	got=$(bash -c '. "$1"; COMP_WORDS=("$2" --print-c); COMP_CWORD=1; _${2//-/_}; echo "${COMPREPLY[*]}"' - "$tmp/$tool.bash" "$tool")
	if [ "$got" = --print-config ]; then
		echo "ok $n - $tool: bash completes an option"
	else
		echo "not ok $n - $tool: bash completes an option"
		echo "# --print-c gives: $got"
		bad=1
	fi
done
[ $n -eq 0 ] && { n=1; echo "ok 1 - completions # SKIP no tool is built"; }
echo "1..$n"
exit $bad

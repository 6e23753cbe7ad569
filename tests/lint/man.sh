#!/bin/sh
# Manual pages: clean for mandoc; the options of each tool's page are those of its -h, with the same one-line
# description; every tool has a page; the key table in ax-config(5) is the program's.
: "${BUILD:=build}"
n=0 bad=0

result() { # result NAME: ok unless $why has text
	n=$((n + 1))
	if [ -n "$why" ]; then
		echo "not ok $n - $1"
		echo "$why" | sed 's/^/# /' | head -20
		bad=1
	else
		echo "ok $n - $1"
	fi
}

skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

# Names of long options of a page's section OPTIONS.
page_options() {
	sed -n '/^\.Sh OPTIONS/,/^\.Sh [^O]/p' "$1" | grep '^\.It.* Fl -' | grep -oE 'Fl -[a-z0-9][a-z0-9-]*' | sed 's/Fl -//' | sort
}

# The part of -h about the tool itself, or about all tools, as names of long options.
help_options() { # help_options TOOL own|common
	"$1" -h | awk -v want="$2" '/^Options of all tools/ { part = "common" } /^usage:/ { part = "own" } /^Keys of the/ { part = "" }
		part == want && /^  / && match($0, /--[a-z0-9][a-z0-9-]*/) { print substr($0, RSTART + 2, RLENGTH - 2) }' | sort
}

differ() { # differ LEFT-NAME LEFT RIGHT-NAME RIGHT
	printf '%s\n' "$2" >"$tmp.l"
	printf '%s\n' "$4" >"$tmp.r"
	comm -23 "$tmp.l" "$tmp.r" | sed "s|^\(.\)|only in $1: --\1|"
	comm -13 "$tmp.l" "$tmp.r" | sed "s|^\(.\)|only in $3: --\1|"
}

tmp=$(mktemp) || exit 1
trap 'rm -f "$tmp" "$tmp.l" "$tmp.r"' EXIT
any=
for dir in tools/*/; do
	tool=ax-$(basename "$dir")
	bin=$BUILD/bin/$tool page=man/$tool.1
	if [ ! -x "$bin" ]; then
		skip "$tool: help and page" "not built"
		continue
	fi
	any=$bin
	why=
	if [ ! -f "$page" ]; then
		why="no $page"
	else
		why=$(differ "-h" "$(help_options "$bin" own)" "$page" "$(page_options "$page")")
		summary=$("$bin" -h | sed -n "s/^$tool - //p")
		grep -qxF ".Nd $summary" "$page" || why="$why
one-line descriptions differ: \"$summary\" in -h, \"$(sed -n 's/^\.Nd //p' "$page")\" in $page"
	fi
	result "$tool: help and page"
done
if [ -n "$any" ]; then
	why=$(differ "-h" "$(help_options "$any" common)" man/ax-config.5 "$(page_options man/ax-config.5)")
	result "options of all tools: help and ax-config(5)"
	why=$(sh scripts/man-keys.sh "$any" --check)
	result "key table of ax-config(5)"
else
	skip "ax-config(5) against the program" "no tool is built"
fi
if command -v mandoc >/dev/null 2>&1; then
	for page in man/*.[1-8]; do
		why=$(mandoc -T lint "$page" 2>/dev/null | grep -vE 'STYLE: (referenced manual not found|input text line longer)')
		result "$page: mandoc -T lint"
	done
else
	skip "mandoc -T lint" "no mandoc"
fi
# A reference to a page of ours must lead to one.
why=$(for page in man/*.[1-8]; do
	sed -n 's/^\(\.It \)\{0,1\}\.\{0,1\}Xr \(ax[a-z-]*\) \([0-9]\).*/\2.\3/p' "$page" | while read -r to; do
		case $to in
		*.1) [ -d "tools/$(echo "$to" | sed 's/^ax-\(.*\)\.1$/\1/')" ] || echo "$page refers to $to" ;;
		*) [ -f "man/$to" ] || echo "$page refers to $to" ;;
		esac
	done
done)
result "references between pages"
echo "1..$n"
exit $bad

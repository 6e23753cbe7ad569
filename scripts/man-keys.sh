#!/bin/sh
# The key table of man/ax-config.5, from the table in the program: rewritten in place, or with --check compared.
# usage: scripts/man-keys.sh TOOL-BINARY [--check]
tool=$1
page=man/ax-config.5
tmp=$(mktemp) || exit 1
trap 'rm -f "$tmp" "$tmp.new"' EXIT

"$tool" --key-table | LC_ALL=C awk -F '\t' '
function begin() { if (!open) { print ".Bl -tag -width Ds"; open = 1 } }
function finish() {
	if (open) print ".El"
	open = 0
	if (n_same > 0) {
		print ".Pp"
		print "Accepted silently, since the result does not depend on them:"
		print ".Bl -tag -width Ds -compact"
		for (i = 1; i <= n_same; i++) { print ".It " text[same[i]] ":"; print names[same[i]] }
		print ".El"
	}
	n_same = 0
	split("", same); split("", names); split("", text); split("", seen)
}
function first(s) { return toupper(substr(s, 1, 1)) substr(s, 2) }
function comma(s) { gsub(/ /, ", ", s); return s }
$1 != group { finish(); group = $1; print ".Ss " group }
$7 == "same result" {
	if (!($8 in seen)) { same[++n_same] = $8; seen[$8] = 1; text[$8] = $8; names[$8] = "" }
	alias = $3
	gsub(/!/, "", alias)
	gsub(/ /, " , ", alias)
	names[$8] = names[$8] (names[$8] == "" ? "" : " ,\n") ".Ic " $2 (alias == "" ? "" : " , " alias)
	next
}
{
	begin()
	alias = $3
	gsub(/!/, "", alias)
	n = split(alias, a, " ")
	line = ".It Ic " $2
	for (i = 1; i <= n; i++) line = line " , " a[i]
	print line
	print first($8) "."
	d = $5 == "" ? "" : "; default " $5
	print first($4) d (($6 == "") ? "." : " (" comma($6) ").")
	if ($7 == "refused") print ".Em Refused :\n" $9 "."
	if ($7 == "more exact") print ".Em Note :\n" $9 "."
	if ($7 == "side effect") print ".Em Warning :\n" $9 "."
}
END { finish() }
' >"$tmp" || exit 1
[ -s "$tmp" ] || exit 1

LC_ALL=C awk -v table="$tmp" '
/^\.\\" BEGIN KEYS/ { print; while ((getline line < table) > 0) print line; skip = 1 }
/^\.\\" END KEYS/ { skip = 0 }
!skip { print }
' "$page" >"$tmp.new" || exit 1
if [ "$2" = --check ]; then
	diff -u "$page" "$tmp.new"
else
	cat "$tmp.new" >"$page"
fi

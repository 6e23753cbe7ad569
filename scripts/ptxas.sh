#!/bin/sh
# Hold what `ptxas -v` said of each kernel against the limits: 255 registers and no spill unless ptxas.limits allows it.
# usage: scripts/ptxas.sh LOG...          the logs that make cuda leaves beside the objects
#        scripts/ptxas.sh --table LOG...  print kernel, architecture, registers, spilled bytes, stack, shared memory
table=0
[ "$1" = --table ] && { table=1; shift; }
[ $# -gt 0 ] || exit 0
exec awk -v table=$table -v limits="$(dirname "$0")/ptxas.limits" '
BEGIN {
	while ((getline line < limits) > 0) {
		if (line ~ /^[ \t]*(#|$)/) continue
		split(line, f, /[ \t]+/)
		n++; part[n] = f[1]; registers[n] = f[2]; spill[n] = f[3]
	}
}
/Compiling entry function/ { split($0, q, "\047"); name = q[2]; arch = q[4] }
/bytes stack frame/ { stack = $(index_of("bytes") - 1); stores = loads = 0
	if (match($0, /[0-9]+ bytes spill stores/)) stores = substr($0, RSTART) + 0
	if (match($0, /[0-9]+ bytes spill loads/)) loads = substr($0, RSTART) + 0 }
/Used [0-9]+ registers/ {
	match($0, /Used [0-9]+/); used = substr($0, RSTART + 5, RLENGTH - 5) + 0
	shared = match($0, /[0-9]+ bytes smem/) ? substr($0, RSTART) + 0 : 0
	most = 255; spilled = 0
	for (i = 1; i <= n; i++)
		if (index(name, part[i])) { most = registers[i]; spilled = spill[i] }
	if (table) print name, arch, used, stores + loads, stack, shared
	else if (used > most || stores + loads > spilled) {
		printf "%s (%s): %d registers (at most %d), %d bytes spilled (at most %d)\n", name, arch, used, most, stores + loads, spilled
		bad = 1
	}
}
function index_of(word,   i) { for (i = 1; i <= NF; i++) if ($i == word) return i; return 0 }
END { exit bad }' "$@"

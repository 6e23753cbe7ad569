# Small integer word problems as chat rows, one JSON object a line.
# usage: awk -v n=4000 -v seed=1 -f gen.awk > arith.jsonl
# The random numbers are its own (Lehmer's, exact in a double), so every awk writes the same file.
function rnd(m) {
	state = (state * 16807) % 2147483647
	return int(state / 128) % m
}
function name() { return names[rnd(n_names) + 1] }
function thing() { return things[rnd(n_things) + 1] }
function row(q, a) {
	printf "{\"messages\": [{\"role\": \"user\", \"content\": \"%s\"}, {\"role\": \"assistant\", \"content\": \"%s\"}]}\n", q, a
}
BEGIN {
	state = seed + 1
	for (i = 0; i < 10; i++)
		rnd(2)
	n_names = split("Ann Ben Carla Dan Eve Finn Gina Hugo", names, " ")
	n_things = split("apples books coins eggs keys pens shells stamps", things, " ")
	for (i = 0; i < n; i++) {
		a = rnd(40) + 2; b = rnd(40) + 2; who = name(); what = thing(); kind = rnd(4)
		if (kind == 0)
			row(who " has " a " " what " and finds " b " more. How many " what " does " who " have now?", \
			    a " + " b " = " (a + b) ". " who " has " (a + b) " " what ".")
		else if (kind == 1) {
			if (a < b) { t = a; a = b; b = t }
			row(who " has " a " " what " and gives away " b ". How many " what " are left?", \
			    a " - " b " = " (a - b) ". " who " has " (a - b) " " what " left.")
		} else if (kind == 2) {
			a = rnd(9) + 2; b = rnd(9) + 2
			row(who " buys " a " boxes with " b " " what " in each. How many " what " is that?", \
			    a " * " b " = " (a * b) ". " who " has " (a * b) " " what ".")
		} else {
			other = name()
			row(who " has " a " " what ", " other " has " b ". How many " what " do they have together?", \
			    a " + " b " = " (a + b) ". Together they have " (a + b) " " what ".")
		}
	}
}

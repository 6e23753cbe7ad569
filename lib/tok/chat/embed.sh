#!/bin/sh
# The templates of this folder as C: embed.sh > chat_templates.c. A file NAME.jinja is the template NAME; one whose name
# begins with _ is a part, which {#- include _PART -#} on a line of its own puts in. Whole lines only: no template
# depends on what stands beside its tags.
set -e
cd "$(dirname "$0")"

expand() {
	while IFS= read -r line || [ -n "$line" ]; do
		case $line in
		'{#- include '*' -#}')
			part=${line#'{#- include '}
			expand <"${part%' -#}'}.jinja"
			;;
		*) printf '%s\n' "$line" ;;
		esac
	done
}

echo '#include "tok/chat_templates.h"'
echo 'const struct ax_chat_named ax_chat_named[] = {'
for file in [a-z]*.jinja; do
	printf '{"%s",\n' "${file%.jinja}"
	expand <"$file" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/"&\\n"/' -e 's/??/?\\?/g'
	echo '},'
done
echo '{0, 0}};'

#!/bin/sh
# Random conversations through every chat template among the assets, and random Jinja programs, against Python jinja2 as transformers
# sets it up (minutes: only AX_LONG=1). AX_N: conversations a template; AX_PROGRAMS; AX_SEED; AX_TOK: a folder of unpacked tokenizers.
python=${AX_PYTHON:-python3}
assets=${AX_ASSETS:-../shared/assets}
gen=${BUILD:-build}/tests/parity/gen_render
skip() {
	echo "ok 1 - templates against jinja2 # SKIP $1"
	exit 0
}
[ "${AX_LONG:-0}" = 1 ] || skip 'long (AX_LONG=1)'
"$python" -c 'import jinja2, transformers.utils.chat_template_utils' 2>/dev/null || skip 'no Python packages jinja2 and transformers'
rc=0
"$python" tests/parity/jinja_random.py "$gen" "${AX_PROGRAMS:-5000}" "${AX_SEED:-1}" || rc=1
if [ -d "$assets/vectors/chat-templates" ]; then
	files=$(ls "$assets"/vectors/chat-templates/*/*.jinja "${AX_TOK:-$assets/tokenizers}"/*/tokenizer_config.json "${AX_TOK:-$assets/tokenizers}"/*/*.jinja \
		"${AX_TOK:-$assets/tokenizers}"/_configs-only/*/tokenizer_config.json 2>/dev/null)
	"$python" tests/parity/conversations.py "$gen" "${AX_N:-500}" "${AX_SEED:-1}" $files || rc=1
fi
exit $rc

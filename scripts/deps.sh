#!/bin/sh
# Install the Debian packages that ax is built and tested with, as far as they are missing.
# usage: scripts/deps.sh [--print]     --print: only list them
# Uses apt, with sudo when not root. On another system it prints the list and what to do with it.
packages='gcc g++ make libc6-dev libyaml-dev libzstd-dev libxxhash-dev zlib1g-dev libpcre2-dev libdnnl-dev libopenmpi-dev openmpi-bin libcmocka-dev mandoc'

[ "$1" = --print ] && { echo "$packages"; exit 0; }

if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
	echo "deps.sh: this is not a Debian system; install the equivalents of:" >&2
	echo "  $packages" >&2
	exit 0
fi

missing=
for p in $packages; do
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $p"
done
[ -z "$missing" ] && exit 0

sudo=
if [ "$(id -u)" -ne 0 ]; then
	sudo=$(command -v sudo) || { echo "deps.sh: run as root, or install sudo:$missing" >&2; exit 1; }
fi
echo "deps.sh: installing$missing" >&2
$sudo apt-get update -qq >&2 || echo "deps.sh: apt-get update failed; trying with the lists that are there" >&2
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >&2

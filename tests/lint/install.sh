#!/bin/sh
# make, and make install into a folder with a space under a strict umask: everybody can use it, it runs, and uninstall leaves no file.
: "${BUILD:=build}"
[ -x "$BUILD/bin/ax-view" ] || { echo "ok 1 - install # SKIP no tool is built"; exit 0; }
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
n=0 bad=0
say() { # say NAME: passes if the file why is empty
	n=$((n + 1))
	if [ -s "$tmp/why" ]; then
		echo "not ok $n - $1"
		sed 's/^/# /' "$tmp/why" | head -10
		bad=1
	else
		echo "ok $n - $1"
	fi
}
into() { ( umask 077; make -s -o "$BUILD/lib/ax/libax-cuda.so" B="$BUILD" DESTDIR="$tmp/the root" PREFIX=/usr "$@" >"$tmp/log" 2>&1 ) || cat "$tmp/log" >"$tmp/why"; }

: >"$tmp/why"
into install
say "install into a folder with a space"
find "$tmp/the root/usr" ! -perm -a+r -o -type d ! -perm -a+x >"$tmp/why"
say "whatever the umask, everybody can read it"
: >"$tmp/why"
for page in man/*.[157]; do [ -f "$tmp/the root/usr/share/man/man${page##*.}/$(basename "$page")" ] || echo "no $page" >>"$tmp/why"; done
for bin in "$BUILD"/bin/ax-*; do
	tool=$(basename "$bin")
	"$tmp/the root/usr/bin/$tool" --version >/dev/null 2>>"$tmp/why" || echo "$tool does not run" >>"$tmp/why"
	cmp -s "$BUILD/gen/$tool.zsh" "$tmp/the root/usr/share/zsh/site-functions/_$tool" || echo "no zsh completion of $tool" >>"$tmp/why"
done
for plugin in "$BUILD"/lib/ax/*.so; do
	[ ! -f "$plugin" ] || [ -x "$tmp/the root/usr/lib/ax/${plugin##*/}" ] || echo "no ${plugin##*/}" >>"$tmp/why"
done
say "every tool, page, completion and plugin is there"
: >"$tmp/why"
into uninstall
find "$tmp/the root" ! -type d >>"$tmp/why"
say "uninstall leaves no file"
into uninstall
say "uninstall where nothing is"
make -s B="$BUILD/gen/none" HEADERS="stdio.h no-such.h nor-this.h" "$BUILD/gen/none/gen/headers" >"$tmp/log" 2>&1
grep -q 'not installed: no-such.h nor-this.h; sh scripts/deps.sh' "$tmp/log" && : >"$tmp/why" || cp "$tmp/log" "$tmp/why"
rm -rf "$BUILD/gen/none"
say "what a build lacks is said, with what to do"
echo "1..$n"
exit $bad

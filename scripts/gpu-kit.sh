#!/bin/sh
# A bundle (scripts/bundle.sh) with the op tests and benchmarks of its build, as one archive for a machine that has a GPU but
# not what ax is built with. There, in a checkout: scripts/gpu-session.sh unpacks and uses it.
# usage: scripts/gpu-kit.sh BUNDLE BUILD ARCHIVE.tar.gz      (make gpu-kit)
# A test or benchmark is real-NAME behind a script NAME that shows it the libraries, which are for these programs alone: what
# else runs there (a Python with PyTorch) has its own.
set -e
bundle=$1 build=$2 archive=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
kit=$dir/gpu-kit
theirs='^(linux-vdso|ld-linux.*|lib(c|m|dl|rt|pthread|resolv|util)|lib(cuda|cudart|cublas|cublasLt|nccl|nvidia-.*|nvrtc))\.so'

cp -r "$bundle" "$kit"
rm -rf "$kit/share/man" "$kit/mpi/help"
for f in "$build"/tests/op/test_* "$build"/gpu/test_* "$build"/bench/gpu/ops; do
	[ -f "$f" ] && [ -x "$f" ] || continue
	to=$(dirname "${f#"$build"/}")
	up=$(echo "$to" | sed 's/[^/][^/]*/../g')
	mkdir -p "$kit/$to"
	strip -o "$kit/$to/real-${f##*/}" "$f"
	ldd "$f" | awk -v no="$theirs" '$2 == "=>" && $3 ~ /^\// && $1 !~ no { print $1, $3 }' | while read -r name path; do
		[ -e "$kit/lib/$name" ] || cp -L "$path" "$kit/lib/$name"
	done
	cat >"$kit/$to/${f##*/}" <<-RUN
		#!/bin/sh
		here=\$(cd "\$(dirname "\$0")" && pwd)
		export LD_LIBRARY_PATH="\$here/$up/lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
		exec "\$here/real-${f##*/}" "\$@"
	RUN
	chmod 755 "$kit/$to/${f##*/}"
done
printf 'copy 1\n' | "$kit/bench/gpu/ops" --device cpu --batch-ms 0 >/dev/null
mkdir -p "$(dirname "$archive")"
tar -C "$dir" -czf "$archive" gpu-kit
echo "$archive: $(($(wc -c <"$archive") / 1048576)) MiB"

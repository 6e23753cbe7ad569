#!/bin/sh
# Put programs, plugins, the shared libraries they need and Open MPI into a folder that runs on another Linux machine whose
# C library is not older than this one's. Left to that machine: the C library, NVIDIA's driver and CUDA's libraries.
# usage: scripts/bundle.sh BUILD OUT     (make bundle; BUILD/bundle/bin has the programs, linked to look into ../lib)
set -e
build=$1 out=$2
here='^(linux-vdso|ld-linux.*|lib(c|m|dl|rt|pthread|resolv|util|anl|nsl))\.so'
nvidia='^lib(cuda|cudart|cublas|cublasLt|nccl|nvidia-.*|nvrtc|cudnn.*)\.so'
limit_kb=$((60 * 1024))

rm -rf "$out"
mkdir -p "$out/bin" "$out/lib/ax" "$out/share/man/man1" "$out/share/man/man5" "$out/share/man/man7" "$out/share/ax"
cp "$build"/bundle/bin/ax-* "$out/bin/"
for p in "$build"/lib/ax/*.so; do
	[ ! -f "$p" ] || cp "$p" "$out/lib/ax/"
done
cp share/ax/ax.mk "$out/share/ax/"
cp LICENSE README.md "$out/share/ax/"
for s in 1 5 7; do cp man/*.$s "$out/share/man/man$s/"; done

# Names and paths of the libraries that a file needs, without those of the machine itself.
needs() {
	ldd "$1" 2>/dev/null | awk -v here="$here" -v nvidia="$nvidia" '$2 == "=>" && $1 !~ here && $1 !~ nvidia { print $1, $3 }'
}
copy_needs() { # copy_needs FILE...
	for f; do needs "$f"; done | sort -u | while read -r name path; do
		[ "$path" != not ] || { echo "bundle: $name is needed and not here" >&2; exit 1; }
		[ -e "$out/lib/$name" ] || cp -L "$path" "$out/lib/$name"
	done
}
copy_needs "$build"/bin/ax-* "$out"/lib/ax/*.so

# Open MPI: its starter, daemon and components. Not those for fabrics whose libraries belong to the machine: there, a site
# builds libax-mpi.so with its own mpicc.
info() { ompi_info --parsable --path "$1" 2>/dev/null | sed -n "s/^path:$1://p"; }
pkglibdir=$(info pkglibdir || :)
if [ -e "$out/lib/ax/libax-mpi.so" ] && [ -n "$pkglibdir" ]; then
	bindir=$(info bindir) datadir=$(info pkgdatadir)
	mkdir -p "$out/mpi/bin" "$out/mpi/components" "$out/mpi/etc"
	cp -L "$bindir/orterun" "$bindir/orted" "$out/mpi/bin/"
	for f in "$pkglibdir"/mca_*.so; do
		case ${f##*/} in
		*ucx* | *ofi* | *openib* | *psm* | *portals*) ;;                                  # fabrics
		mca_atomic* | mca_memheap* | mca_scoll* | mca_sshmem* | mca_spml*) ;;              # OpenSHMEM
		mca_io_* | mca_fs_* | mca_fbtl* | mca_fcoll* | mca_sharedfp* | *monitoring*) ;;     # MPI-IO, profiling
		mca_osc_* | mca_topo_* | mca_vprotocol* | mca_op_*) ;;                             # one-sided, topologies, logging, sums (ours)
		*) cp -L "$f" "$out/mpi/components/" ;;
		esac
	done
	[ ! -d "$datadir" ] || cp -rL "$datadir" "$out/mpi/help"
	copy_needs "$out"/mpi/bin/* "$out"/mpi/components/*.so
	cat >"$out/bin/mpirun" <<'RUN'
#!/bin/sh
# Open MPI of this folder.
root=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
export LD_LIBRARY_PATH="$root/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export OPAL_PREFIX="$root/mpi" OPAL_BINDIR="$root/mpi/bin" OPAL_LIBDIR="$root/lib" OPAL_PKGLIBDIR="$root/mpi/components"
export OPAL_PKGDATADIR="$root/mpi/help" OPAL_SYSCONFDIR="$root/mpi/etc"
export PMIX_MCA_pcompress_base_silence_warning=1
command -v ssh >/dev/null 2>&1 || command -v rsh >/dev/null 2>&1 || export OMPI_MCA_plm=isolated # this machine alone
exec "$root/mpi/bin/orterun" -x LD_LIBRARY_PATH -x OPAL_PREFIX -x OPAL_BINDIR -x OPAL_LIBDIR -x OPAL_PKGLIBDIR -x OPAL_PKGDATADIR -x OPAL_SYSCONFDIR "$@"
RUN
	chmod 755 "$out/bin/mpirun"
else
	echo "bundle: without MPI (the plugin or ompi_info is missing here): one rank" >&2
fi
strip --strip-unneeded "$out"/lib/*.so* "$out"/lib/ax/*.so "$out"/mpi/bin/* "$out"/mpi/components/*.so 2>/dev/null || :

# Is it whole? Every library that is needed must be found inside, and the programs must start with nothing else in sight.
bad=$(for f in "$out"/bin/ax-* "$out"/lib/*.so* "$out"/lib/ax/*.so "$out"/mpi/bin/* "$out"/mpi/components/*.so; do
	[ ! -f "$f" ] || LD_LIBRARY_PATH="$out/lib" needs "$f" | awk -v f="$f" -v out="$out" 'index($2, out) != 1 { print f ": " $1 " comes from " $2 }'
done)
[ -z "$bad" ] || { echo "$bad" | head -10 >&2; echo "bundle: not self-contained" >&2; exit 1; }
"$out/bin/ax-train" --version >/dev/null
size=$(du -sk "$out" | cut -f1)
echo "$out: $((size / 1024)) MB"
[ "$size" -le "$limit_kb" ] || { echo "bundle: larger than $((limit_kb / 1024)) MB" >&2; exit 1; }

#include "base/plugin.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int ax_plugin_dir(char *buf, size_t n, struct ax_err *e)
{
	char exe[4096];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;
	int m;

	if (len <= 0)
		return ax_fail(e, AX_EIO, "cannot find the folder of this program (/proc/self/exe):");
	exe[len] = '\0';
	for (int i = 0; i < 2; i++) { /* the name, then bin */
		slash = strrchr(exe, '/');
		if (!slash)
			return ax_fail(e, AX_EIO, "cannot find the folder of this program: %s", exe);
		*slash = '\0';
	}
	m = snprintf(buf, n, "%s/lib/ax", exe);
	if (m < 0 || (size_t)m >= n)
		return ax_fail(e, AX_EIO, "the path of the plugin folder is too long: %s", exe);
	return 0;
}

/* Does [off, off + n) lie in a file of `size` bytes? */
static bool inside(uint64_t size, uint64_t off, uint64_t n)
{
	return off <= size && n <= size - off;
}

/* Where a header says that the file has more than it has. What is no ELF file at all is left to dlopen. */
static bool is_cut(int fd, uint64_t size)
{
	ElfW(Ehdr) h;
	ElfW(Phdr) p;

	if (pread(fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h) || memcmp(h.e_ident, ELFMAG, SELFMAG) || h.e_phentsize != sizeof(p))
		return false;
	if (!inside(size, h.e_phoff, (uint64_t)h.e_phnum * sizeof(p)) || !inside(size, h.e_shoff, (uint64_t)h.e_shnum * h.e_shentsize))
		return true;
	for (unsigned i = 0; i < h.e_phnum; i++) {
		if (pread(fd, &p, sizeof(p), (off_t)(h.e_phoff + i * sizeof(p))) != (ssize_t)sizeof(p) || !inside(size, p.p_offset, p.p_filesz))
			return true;
	}
	return false;
}

/* dlopen maps pages past the end of a file that was cut off and dies of SIGBUS. */
static int check_whole(const char *path, struct ax_err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	bool cut;

	if (fd < 0)
		return ax_fail(e, AX_EIO, "cannot open %s:", path);
	cut = !fstat(fd, &st) && st.st_size >= 0 && is_cut(fd, (uint64_t)st.st_size);
	close(fd);
	return cut ? ax_fail(e, AX_EIO, "%s is cut off (%lld bytes): install it again", path, (long long)st.st_size) : 0;
}

int ax_plugin_open(struct ax_plugin *p, const char *dir, const char *file, const char *symbol, bool global, struct ax_err *e)
{
	char own[4096];
	void *so;

	memset(p, 0, sizeof(*p));
	if (!dir) {
		AX_TRY(ax_plugin_dir(own, sizeof(own), e));
		dir = own;
	}
	if (dir[0] != '/')
		return ax_fail(e, AX_EUSAGE, "the plugin folder must be an absolute path: %s", dir);
	snprintf(p->path, sizeof(p->path), "%s/%s", dir, file);
	p->missing = access(p->path, F_OK) != 0;
	if (!p->missing)
		AX_TRY(check_whole(p->path, e));
	so = dlopen(p->path, RTLD_NOW | (global ? RTLD_GLOBAL : RTLD_LOCAL));
	if (!so)
		return ax_fail(e, AX_EIO, "%s", dlerror());
	p->symbol = dlsym(so, symbol);
	return p->symbol ? 0 : ax_fail(e, AX_EIO, "%s is not a plugin of ax", p->path);
}

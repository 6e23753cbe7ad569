#include "base/plugin.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
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
	so = dlopen(p->path, RTLD_NOW | (global ? RTLD_GLOBAL : RTLD_LOCAL));
	if (!so)
		return ax_fail(e, AX_EIO, "%s", dlerror());
	p->symbol = dlsym(so, symbol);
	return p->symbol ? 0 : ax_fail(e, AX_EIO, "%s is not a plugin of ax", p->path);
}

/* For fuzz targets of files and folders: a scratch folder in memory where there is such a filesystem, removed at the end. */
#ifndef AX_TEST_SCRATCH_H
#define AX_TEST_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"

static inline const char *scratch(void)
{
	static char shm[] = "/dev/shm/ax-fuzz-XXXXXX", tmp[] = "/tmp/ax-fuzz-XXXXXX";
	static const char *dir;

	if (!dir)
		dir = mkdtemp(shm);
	if (!dir)
		dir = mkdtemp(tmp);
	return dir ? dir : ".";
}

/* The path of `name` in it; valid until the next call. */
static inline const char *scratch_path(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", scratch(), name);
	return path;
}

static inline void scratch_put(const char *name, const void *p, size_t n)
{
	FILE *f = fopen(scratch_path(name), "wb");

	if (f) {
		fwrite(p, 1, n, f);
		fclose(f);
	}
}

__attribute__((destructor)) static void scratch_clean(void)
{
	if (strcmp(scratch(), "."))
		ax_remove_tree(scratch(), NULL);
}

#endif

/*
 * Plugins: shared objects of this program that are opened when they are needed, from PREFIX/lib/ax beside the folder of
 * the binary, never from the working directory. A plugin exports one variable, which begins with its version.
 */
#ifndef AX_BASE_PLUGIN_H
#define AX_BASE_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* The plugin folder that belongs to the running binary: DIR/../lib/ax for DIR/ax-train. */
int ax_plugin_dir(char *buf, size_t n, struct ax_err *e);

struct ax_plugin {
	char path[4352]; /* of the file, also when it could not be opened */
	bool missing;    /* it is not there at all */
	const void *symbol;
};

/*
 * Open `file` in dir (NULL: the program's plugin folder; else an absolute path), find `symbol`. global: what it links is
 * visible to libraries that are opened later. AX_EIO with the loader's reason. It stays open until the process ends.
 */
int ax_plugin_open(struct ax_plugin *p, const char *dir, const char *file, const char *symbol, bool global, struct ax_err *e);

#endif

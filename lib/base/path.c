/* Paths: joined, taken apart, asked what they name. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"

bool ax_path_inside(const char *path, const char *dir)
{
	char *p = realpath(path, NULL), *d = realpath(dir, NULL);
	size_t n = d ? strlen(d) : 0;
	bool inside = p && d && strncmp(p, d, n) == 0 && (p[n] == '\0' || p[n] == '/' || d[n - 1] == '/');

	free(p);
	free(d);
	return inside;
}

char *ax_path_join(const char *dir, const char *name)
{
	struct ax_buf b = AX_BUF_INIT;

	if (dir && *dir && *name != '/') {
		ax_buf_adds(&b, dir);
		if (b.n && b.p[b.n - 1] != '/')
			ax_buf_addc(&b, '/');
	}
	ax_buf_adds(&b, name);
	return ax_buf_detach(&b);
}

char *ax_path_dir(const char *path)
{
	const char *s = strrchr(path, '/');

	if (!s)
		return ax_strdup(".");
	return s == path ? ax_strdup("/") : ax_strndup(path, (size_t)(s - path));
}

const char *ax_path_base(const char *path)
{
	const char *s = strrchr(path, '/');

	return s ? s + 1 : path;
}

char *ax_path_follow(const char *path)
{
	struct stat st;
	size_t n = strlen(path);
	char *real, *copy;

	while (n > 1 && path[n - 1] == '/')
		n--;
	copy = ax_strndup(path, n);
	if (!copy || lstat(copy, &st) || !S_ISLNK(st.st_mode))
		return copy;
	real = realpath(copy, NULL); /* NULL: a link to nothing, which is replaced like a file */
	if (!real)
		return copy;
	ax_free(copy);
	copy = ax_strdup(real);
	free(real);
	return copy;
}

bool ax_path_exists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

bool ax_path_same(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && S_ISREG(x.st_mode) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

bool ax_path_is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool ax_path_is_stream(const char *path)
{
	struct stat st;

	return strcmp(path, "-") == 0 || (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode));
}

bool ax_name_is_safe(const char *name)
{
	const char *s;

	if (!*name || *name == '.' || strlen(name) > 255)
		return false;
	for (s = name; *s; s++) {
		bool alnum = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9');

		if (!alnum && *s != '.' && *s != '_' && *s != '-')
			return false;
	}
	return true;
}

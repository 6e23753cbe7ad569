/* Folders: made, listed, removed, published. */
#define _GNU_SOURCE /* renameat2 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/sig.h"
#include "base/temp.h"

#define DEPTH_MAX 64

static bool fault(void)
{
	return ax_fault(AX_FAULT_IO);
}

int ax_mkdirs(const char *path, struct ax_err *e)
{
	char *p = ax_strdup(path), *s;
	int rc = 0;

	if (!p)
		return ax_fail(e, AX_EMEM, "out of memory");
	for (s = p + 1;; s++) {
		char c = *s;

		if (c && c != '/')
			continue;
		*s = '\0';
		if (fault() || (mkdir(p, 0777) && errno != EEXIST)) {
			rc = ax_fail(e, AX_EIO, "cannot make folder %s:", p);
			break;
		}
		*s = c;
		if (!c)
			break;
	}
	ax_free(p);
	if (!rc && !ax_path_is_dir(path))
		rc = ax_fail(e, AX_EIO, "%s is not a folder", path);
	return rc;
}

int ax_dir_each(const char *path, ax_dir_fn *fn, void *ctx, struct ax_err *e)
{
	DIR *d = fault() ? NULL : opendir(path);
	struct dirent *de;
	int rc = 0;

	if (!d)
		return ax_fail(e, AX_EIO, "cannot read folder %s:", path);
	for (;;) {
		errno = 0;
		de = fault() ? NULL : readdir(d);
		if (!de)
			break;
		if (strcmp(de->d_name, ".") && strcmp(de->d_name, ".."))
			rc = fn(ctx, path, de->d_name, e);
		if (rc)
			break;
	}
	if (!rc && errno)
		rc = ax_fail(e, AX_EIO, "cannot read folder %s:", path);
	closedir(d);
	return rc;
}

static int remove_below(void *ctx, const char *dir, const char *name, struct ax_err *e);

static int remove_entry(const char *path, int depth, struct ax_err *e)
{
	int below = depth + 1;
	struct stat st;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : ax_fail(e, AX_EIO, "cannot remove %s:", path);
	if (!S_ISDIR(st.st_mode))
		return (fault() || unlink(path)) && errno != ENOENT ? ax_fail(e, AX_EIO, "cannot remove %s:", path) : 0;
	if (depth > DEPTH_MAX)
		return ax_fail(e, AX_EMEM, "%s: folders nested too deep", path);
	AX_TRY(ax_dir_each(path, remove_below, &below, e));
	return (fault() || rmdir(path)) && errno != ENOENT ? ax_fail(e, AX_EIO, "cannot remove %s:", path) : 0;
}

static int remove_below(void *ctx, const char *dir, const char *name, struct ax_err *e)
{
	char *path = ax_path_join(dir, name);
	int rc = path ? remove_entry(path, *(int *)ctx, e) : ax_fail(e, AX_EMEM, "out of memory");

	ax_free(path);
	return rc;
}

int ax_remove_tree(const char *path, struct ax_err *e)
{
	return remove_entry(path, 0, e);
}

/* Make and lock an empty folder. One that is there is of a process that had our number; or lives, and has it locked. */
static int make_temp(const char *tmp, struct ax_err *e)
{
	bool lost = true;
	int rc = 0;

	while (!rc && lost) {
		int fd;

		if (!fault() && (!mkdir(tmp, 0777) || errno == EEXIST)) {
			fd = ax_open(tmp, O_RDONLY | O_DIRECTORY, 0);
			rc = fd < 0 ? ax_fail(e, AX_EIO, "cannot open %s:", tmp) : ax_temp_hold(tmp, fd, &lost, e);
			if (fd < 0)
				rmdir(tmp);
			else
				close(fd);
		} else {
			rc = ax_fail(e, AX_EIO, "cannot make folder %s:", tmp);
		}
	}
	return rc;
}

int ax_dir_begin(const char *path, char **tmp, struct ax_err *e)
{
	char *target = ax_path_follow(path), *dir = target ? ax_path_dir(target) : NULL;
	int rc = 0;

	*tmp = target ? ax_temp_name(target) : NULL;
	if (!*tmp || !dir)
		rc = ax_fail(e, AX_EMEM, "out of memory");
	else if (ax_path_exists(target) && !ax_path_is_dir(target))
		rc = ax_fail(e, AX_EIO, "%s exists and is no folder", path);
	if (!rc)
		rc = ax_mkdirs(dir, e);
	if (!rc) {
		ax_temp_sweep(target);
		ax_temp_add(*tmp);
		rc = make_temp(*tmp, e);
	}
	if (!rc) {
		rc = ax_dir_each(*tmp, remove_below, &(int){0}, e);
		if (rc)
			rmdir(*tmp);
	}
	if (rc && *tmp) {
		ax_temp_remove(*tmp);
		ax_free(*tmp);
		*tmp = NULL;
	}
	ax_free(target);
	ax_free(dir);
	return rc;
}

/* Swap two names in one step; false where the system or the filesystem cannot. */
static bool swap(const char *a, const char *b)
{
#ifdef RENAME_EXCHANGE
	return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0;
#else
	return false;
#endif
}

/* Put `tmp` at `path`; *old (ax_free) is where what was there is now, NULL if there was nothing. */
static int put(const char *tmp, const char *path, char **old, struct ax_err *e)
{
	struct ax_buf aside = AX_BUF_INIT;
	int rc;

	*old = NULL;
	if (!ax_path_exists(path))
		return ax_rename(tmp, path, e);
	if (fault())
		return ax_fail(e, AX_EIO, "cannot replace %s:", path);
	if (swap(tmp, path)) {
		*old = ax_strdup(tmp);
		return *old ? 0 : ax_fail(e, AX_EMEM, "out of memory");
	}
	ax_buf_addf(&aside, "%s.old-%ld", path, (long)getpid());
	*old = ax_buf_detach(&aside);
	if (!*old)
		return ax_fail(e, AX_EMEM, "out of memory");
	AX_TRY(ax_rename(path, *old, e));
	rc = ax_rename(tmp, path, e);
	if (rc)
		ax_rename(*old, path, NULL); /* the user keeps what was there */
	return rc;
}

int ax_dir_commit(const char *tmp, const char *path, struct ax_err *e)
{
	char *target = ax_path_follow(path), *dir = target ? ax_path_dir(target) : NULL, *old = NULL;
	int rc = dir ? 0 : ax_fail(e, AX_EMEM, "out of memory");
	int held = target ? open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (held >= 0)
		flock(held, LOCK_EX | LOCK_NB); /* soon under a temporary name: nobody else shall sweep it meanwhile */
	if (!rc)
		rc = ax_fsync_dir(tmp, e);
	if (!rc) {
		ax_temp_lock(); /* a signal now would remove files of what is about to be published */
		rc = put(tmp, target, &old, e);
		ax_temp_unlock();
	}
	if (!rc)
		rc = ax_fsync_dir(dir, e);
	if (!rc && old)
		rc = ax_remove_tree(old, e);
	if (!rc)
		ax_temp_remove(tmp);
	if (held >= 0)
		close(held);
	ax_free(old);
	ax_free(target);
	ax_free(dir);
	return rc;
}

#include "base/temp.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sig.h"

#define KERNEL 8 /* digits of the boot id in a name */
#define TRIES 100 /* at a lock, a millisecond each: a sweep holds one for the time of an unlink */

/* The running kernel's boot id, so far as names hold it; false where there is none to read. */
static bool kernel_id(char id[KERNEL + 1])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, id, KERNEL);

	if (fd >= 0)
		close(fd);
	if (n != KERNEL)
		memcpy(id, "00000000", KERNEL);
	id[KERNEL] = '\0';
	return n == KERNEL;
}

char *ax_temp_name(const char *target)
{
	struct ax_buf b = AX_BUF_INIT;
	char id[KERNEL + 1];

	kernel_id(id);
	ax_buf_addf(&b, "%s.tmp-%s-%ld", target, id, (long)getpid());
	return ax_buf_detach(&b);
}

/* Does the name still mean this file? */
static bool is_named(int fd, const char *path)
{
	struct stat a, b;

	return !fstat(fd, &a) && !lstat(path, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int ax_temp_hold(const char *tmp, int fd, bool *lost, struct ax_err *e)
{
	const struct timespec ms = {.tv_nsec = 1000000};
	int lock, rc = -1;

	*lost = false;
	/* a descriptor of its own: the caller closes his before the rename, to learn of late errors */
	lock = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (lock < 0) {
		rc = ax_fail(e, AX_EIO, "cannot open %s:", tmp);
		remove(tmp);
		return rc;
	}
	for (int i = 0; i < TRIES && rc; i++) {
		rc = flock(lock, LOCK_EX | LOCK_NB);
		if (rc && errno != EWOULDBLOCK && errno != EINTR)
			rc = 0; /* no such locks here: no sweep either */
		if (rc)
			nanosleep(&ms, NULL);
	}
	*lost = !rc && !is_named(lock, tmp);
	if (rc || *lost || !ax_temp_keep(tmp, lock))
		close(lock);
	return rc ? ax_fail(e, AX_EIO, "%s is being written by another process", tmp) : 0;
}

struct sweep {
	const char *base; /* the target's last component */
	char id[KERNEL + 1];
};

/* BASE.tmp-KERNEL-digits */
static bool is_ours(const struct sweep *s, const char *name)
{
	size_t n = strlen(s->base);

	if (strncmp(name, s->base, n) || strncmp(name + n, ".tmp-", 5) || strncmp(name + n + 5, s->id, KERNEL) ||
	    name[n + 5 + KERNEL] != '-')
		return false;
	name += n + 5 + KERNEL + 1;
	return *name && strspn(name, "0123456789") == strlen(name);
}

static void sweep_one(const char *dir, const char *name)
{
	char *path = ax_path_join(dir, name);
	struct stat st;
	int fd;

	fd = path ? open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
	if (fd >= 0 && !fstat(fd, &st) && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) && st.st_uid == geteuid() &&
	    !flock(fd, LOCK_EX | LOCK_NB) && is_named(fd, path) && !ax_remove_tree(path, NULL))
		ax_info("removed %s, left by a run that was killed", path);
	if (fd >= 0)
		close(fd);
	ax_free(path);
}

void ax_temp_sweep(const char *target)
{
	struct sweep s = {.base = ax_path_base(target)};
	struct dirent *de;
	char *dir;
	DIR *d;

	if (!kernel_id(s.id))
		return;
	dir = ax_path_dir(target);
	d = dir ? opendir(dir) : NULL; /* not ax_dir_each: a failure here is none of the run's */
	while (d && (de = readdir(d)))
		if (is_ours(&s, de->d_name))
			sweep_one(s.base == target ? NULL : dir, de->d_name);
	if (d)
		closedir(d);
	ax_free(dir);
}

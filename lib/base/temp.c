#include "base/temp.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char kernel[KERNEL + 1] = "00000000"; /* of the running kernel's boot id */
static bool known;                           /* it could be read */

static void read_kernel(void)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	char id[KERNEL];

	known = fd >= 0 && read(fd, id, KERNEL) == KERNEL;
	if (known)
		memcpy(kernel, id, KERNEL);
	if (fd >= 0)
		close(fd);
}

char *ax_temp_name(const char *target)
{
	struct ax_buf b = AX_BUF_INIT;

	pthread_once(&once, read_kernel);
	ax_buf_addf(&b, "%s.tmp-%s-%ld", target, kernel, (long)getpid());
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
	return rc ? ax_fail(e, AX_EIO, "%s is being written already", tmp) : 0;
}

/* BASE.tmp-KERNEL-digits */
static bool is_ours(const char *base, const char *name)
{
	size_t n = strlen(base);

	if (strncmp(name, base, n) || strncmp(name + n, ".tmp-", 5) || strncmp(name + n + 5, kernel, KERNEL) ||
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
	const char *base = ax_path_base(target);
	struct dirent *de;
	char *dir;
	DIR *d;

	pthread_once(&once, read_kernel);
	if (!known)
		return;
	dir = ax_path_dir(target);
	d = dir ? opendir(dir) : NULL; /* not ax_dir_each: a failure here is none of the run's */
	while (d && (de = readdir(d)))
		if (is_ours(base, de->d_name))
			sweep_one(base == target ? NULL : dir, de->d_name);
	if (d)
		closedir(d);
	ax_free(dir);
}

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/sig.h"
#include "base/temp.h"

static bool fault(void)
{
	return ax_fault(AX_FAULT_IO);
}

int ax_open(const char *path, int flags, mode_t mode)
{
	int fd;

	if (fault())
		return -1;
	do
		fd = open(path, flags | O_CLOEXEC, mode);
	while (fd < 0 && errno == EINTR);
	return fd;
}

static ssize_t io_read(int fd, void *p, size_t n)
{
	ssize_t r;

	if (fault())
		return -1;
	do
		r = read(fd, p, n);
	while (r < 0 && errno == EINTR);
	return r;
}

static int write_full(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t r;

		if (fault())
			return -1;
		r = write(fd, p, n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -1;
		p += r;
		n -= (size_t)r;
	}
	return 0;
}

int ax_in_open(struct ax_in *in, const char *path, struct ax_err *e)
{
	bool is_stdin = strcmp(path, "-") == 0;
	struct stat st;

	memset(in, 0, sizeof(*in));
	in->fd = is_stdin ? dup(STDIN_FILENO) : ax_open(path, O_RDONLY, 0);
	if (in->fd < 0)
		return ax_fail(e, AX_EIO, "cannot open %s:", is_stdin ? "stdin" : path);
	in->path = ax_strdup(is_stdin ? "stdin" : path);
	if (!in->path || fstat(in->fd, &st)) {
		int rc = ax_fail(e, in->path ? AX_EIO : AX_EMEM, "cannot open %s:", path);

		ax_in_close(in);
		return rc;
	}
	if (S_ISDIR(st.st_mode)) {
		ax_in_close(in);
		return ax_fail(e, AX_EIO, "%s is a folder", path);
	}
	in->seekable = S_ISREG(st.st_mode) && lseek(in->fd, 0, SEEK_CUR) == 0;
	in->size = in->seekable ? (uint64_t)st.st_size : 0;
	return 0;
}

int ax_in_read(struct ax_in *in, void *p, size_t n, size_t *got, struct ax_err *e)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = io_read(in->fd, (char *)p + done, n - done);

		if (r < 0)
			return ax_fail(e, AX_EIO, "cannot read %s:", in->path);
		if (r == 0)
			break;
		done += (size_t)r;
	}
	in->off += done;
	*got = done;
	return 0;
}

int ax_in_exact(struct ax_in *in, void *p, size_t n, struct ax_err *e)
{
	size_t got;

	AX_TRY(ax_in_read(in, p, n, &got, e));
	if (got < n)
		return ax_fail(e, AX_EDATA, "%s: ends at byte %llu, in the middle of a record", in->path,
			       (unsigned long long)in->off);
	return 0;
}

int ax_in_seek(struct ax_in *in, uint64_t off, struct ax_err *e)
{
	if (fault() || lseek(in->fd, (off_t)off, SEEK_SET) < 0)
		return ax_fail(e, AX_EIO, "cannot seek in %s:", in->path);
	in->off = off;
	return 0;
}

void ax_in_close(struct ax_in *in)
{
	if (in->fd >= 0)
		close(in->fd);
	ax_free(in->path);
	in->path = NULL;
	in->fd = -1;
}

int ax_no_pointer(const char *path, const void *p, size_t n, struct ax_err *e)
{
	static const char begin[] = "version https://git-lfs.github.com/spec/";

	if (n < sizeof(begin) - 1 || memcmp(p, begin, sizeof(begin) - 1) != 0)
		return 0;
	return ax_fail(e, AX_EDATA, "%s: not the file itself but a pointer of Git LFS, which \"git lfs pull\" follows", path);
}

int ax_map_fd(struct ax_map *m, int fd, const char *path, struct ax_err *e)
{
	static const unsigned char empty[1];
	struct stat st;
	void *p;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return ax_fail(e, AX_EIO, "%s is not a regular file", path);
	m->p = empty;
	m->n = 0;
	if (st.st_size == 0)
		return 0;
	p = fault() ? MAP_FAILED : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return ax_fail(e, AX_EIO, "cannot map %s:", path);
	m->p = p;
	m->n = (size_t)st.st_size;
	if (!ax_no_pointer(path, p, m->n, e))
		return 0;
	ax_map_close(m);
	return AX_EDATA;
}

int ax_map_open(struct ax_map *m, const char *path, struct ax_err *e)
{
	int fd = ax_open(path, O_RDONLY, 0), rc;

	if (fd < 0)
		return ax_fail(e, AX_EIO, "cannot open %s:", path);
	rc = ax_map_fd(m, fd, path, e);
	close(fd);
	return rc;
}

void ax_map_close(struct ax_map *m)
{
	if (m->p && m->n)
		munmap((void *)(uintptr_t)m->p, m->n);
	m->p = NULL;
	m->n = 0;
}

void ax_map_done(const void *p, size_t n)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)p & ~(page - 1);

	madvise((void *)begin, (size_t)((uintptr_t)p + n - begin), MADV_DONTNEED);
}

int ax_read_file(const char *path, size_t limit, struct ax_buf *b, struct ax_err *e)
{
	struct ax_in in;
	size_t got = 0;
	int rc;

	AX_TRY(ax_in_open(&in, path, e));
	ax_buf_reset(b);
	do {
		ax_buf_reserve(b, AX_IO_BUF);
		if (b->oom) {
			rc = ax_fail(e, AX_EMEM, "%s: out of memory", path);
			break;
		}
		rc = ax_in_read(&in, b->p + b->n, AX_IO_BUF, &got, e);
		if (rc)
			break;
		b->n += got;
		b->p[b->n] = '\0';
		if (b->n > limit)
			rc = ax_fail(e, AX_EMEM, "%s: larger than the limit of %zu bytes", path, limit);
	} while (!rc && got == AX_IO_BUF);
	ax_in_close(&in);
	return rc ? rc : ax_no_pointer(path, b->p, b->n, e);
}

static int make_parent(const char *path, struct ax_err *e)
{
	char *dir = ax_path_dir(path);
	int rc = dir ? ax_mkdirs(dir, e) : ax_fail(e, AX_EMEM, "out of memory");

	ax_free(dir);
	return rc;
}

/* Create o->tmp, locked as long as this process lives. */
static int open_temp(struct ax_out *o, struct ax_err *e)
{
	bool lost = false, alone = o->flags & AX_OUT_OWN;
	int rc = 0;

	do {
		if (o->fd >= 0)
			close(o->fd);
		o->fd = ax_open(o->tmp, O_WRONLY | O_CREAT, 0666);
		if (o->fd < 0 && errno == ENOENT) {
			AX_TRY(make_parent(o->tmp, e));
			o->fd = ax_open(o->tmp, O_WRONLY | O_CREAT, 0666);
		}
		if (o->fd < 0)
			return ax_fail(e, AX_EIO, "cannot create %s:", o->tmp);
		if (!alone)
			rc = ax_temp_hold(o->tmp, o->fd, &lost, e);
	} while (!rc && lost);
	if (rc) { /* it is not this process's */
		ax_temp_remove(o->tmp);
		ax_free(o->tmp);
		o->tmp = NULL;
	}
	return rc ? rc : ax_truncate(o->fd, 0, o->tmp, e);
}

/* The descriptor that a path stands for ("-", /dev/stdout, /dev/fd/3); -1: the path names a file. */
static int stream_of(const char *path)
{
	static const char *const dir[] = {"/dev/fd/", "/proc/self/fd/"};

	if (strcmp(path, "-") == 0 || strcmp(path, "/dev/stdout") == 0)
		return STDOUT_FILENO;
	if (strcmp(path, "/dev/stderr") == 0)
		return STDERR_FILENO;
	for (size_t i = 0; i < 2; i++) {
		const char *s = path + strlen(dir[i]);

		if (strncmp(path, dir[i], strlen(dir[i])) == 0 && *s && strlen(s) < 7 && strspn(s, "0123456789") == strlen(s))
			return atoi(s);
	}
	return -1;
}

/* Into an open stream, a device or a named pipe: nothing to rename, what is written is out. */
static int open_direct(struct ax_out *o, const char *path, int from, struct ax_err *e)
{
	o->path = ax_strdup(from == STDOUT_FILENO ? "stdout" : path);
	if (!o->path)
		return ax_fail(e, AX_EMEM, "out of memory");
	o->fd = from >= 0 ? dup(from) : ax_open(path, O_WRONLY, 0);
	if (o->fd >= 0 && (o->flags & (AX_OUT_TTY | AX_OUT_TEXT) || !isatty(o->fd)))
		return 0;
	int rc = o->fd < 0 ? ax_fail(e, AX_EIO, "cannot write %s:", o->path)
			   : ax_fail(e, AX_EUSAGE, "not writing binary data to a terminal; give -o FILE or a pipe");

	ax_out_abort(o);
	return rc;
}

int ax_out_open(struct ax_out *o, const char *path, unsigned flags, struct ax_err *e)
{
	int rc;

	memset(o, 0, sizeof(*o));
	o->fd = -1;
	o->flags = flags;
	if (stream_of(path) >= 0)
		return open_direct(o, path, stream_of(path), e);
	if (ax_path_is_dir(path) || (*path && path[strlen(path) - 1] == '/'))
		return ax_fail(e, AX_EIO, "%s is a folder", path);
	if (ax_path_is_stream(path))
		return open_direct(o, path, -1, e);
	o->path = ax_path_follow(path);
	o->tmp = o->path ? ax_temp_name(o->path) : NULL;
	if (!o->tmp) {
		ax_out_abort(o);
		return ax_fail(e, AX_EMEM, "out of memory");
	}
	if (!(flags & AX_OUT_OWN))
		ax_temp_sweep(o->path);
	ax_temp_add(o->tmp);
	rc = open_temp(o, e);
	if (rc)
		ax_out_abort(o);
	return rc;
}

int ax_out_flush(struct ax_out *o, struct ax_err *e)
{
	if (o->buf.n && write_full(o->fd, o->buf.p, o->buf.n))
		return ax_fail(e, AX_EIO, "cannot write %s:", o->path);
	o->buf.n = 0;
	return 0;
}

int ax_out_write(struct ax_out *o, const void *p, size_t n, struct ax_err *e)
{
	if (o->buf.n + n > AX_IO_BUF)
		AX_TRY(ax_out_flush(o, e));
	o->off += n;
	if (n >= AX_IO_BUF) {
		if (write_full(o->fd, p, n))
			return ax_fail(e, AX_EIO, "cannot write %s:", o->path);
		return 0;
	}
	ax_buf_add(&o->buf, p, n);
	return o->buf.oom ? ax_fail(e, AX_EMEM, "%s: out of memory", o->path) : 0;
}

int ax_out_commit(struct ax_out *o, struct ax_err *e)
{
	bool sync = o->tmp && !(o->flags & AX_OUT_NOSYNC);
	char *dir;
	int rc, fd;

	AX_TRY(ax_out_flush(o, e));
	if (sync)
		AX_TRY(ax_fsync(o->fd, o->path, e));
	fd = o->fd;
	o->fd = -1;
	AX_TRY(ax_close(fd, o->path, e));
	if (!o->tmp)
		return 0;
	AX_TRY(ax_rename(o->tmp, o->path, e));
	ax_temp_remove(o->tmp);
	ax_free(o->tmp);
	o->tmp = NULL;
	if (!sync)
		return 0;
	dir = ax_path_dir(o->path);
	rc = dir ? ax_fsync_dir(dir, e) : ax_fail(e, AX_EMEM, "out of memory");
	ax_free(dir);
	return rc;
}

void ax_out_abort(struct ax_out *o)
{
	if (o->fd >= 0)
		close(o->fd);
	if (o->tmp) {
		unlink(o->tmp);
		ax_temp_remove(o->tmp);
	}
	ax_free(o->tmp);
	ax_free(o->path);
	ax_buf_release(&o->buf);
	o->fd = -1;
	o->tmp = o->path = NULL;
}

int ax_write_file(const char *path, const void *p, size_t n, struct ax_err *e)
{
	struct ax_out o;
	int rc = ax_out_open(&o, path, AX_OUT_TEXT, e);

	if (rc)
		return rc;
	AX_GOTO(ax_out_write(&o, p, n, e));
	rc = ax_out_commit(&o, e);
out:
	ax_out_abort(&o);
	return rc;
}

int ax_pread_full(int fd, void *p, size_t n, uint64_t off, const char *path, struct ax_err *e)
{
	char *q = p;

	while (n) {
		ssize_t r = fault() ? -1 : pread(fd, q, n, (off_t)off);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return ax_fail(e, AX_EIO, "cannot read %s:", path);
		if (r == 0)
			return ax_fail(e, AX_EDATA, "%s: ends at byte %llu, in the middle of a record", path,
				       (unsigned long long)off);
		q += r;
		off += (uint64_t)r;
		n -= (size_t)r;
	}
	return 0;
}

int ax_pwrite_full(int fd, const void *p, size_t n, uint64_t off, const char *path, struct ax_err *e)
{
	const char *q = p;

	while (n) {
		ssize_t r = fault() ? -1 : pwrite(fd, q, n, (off_t)off);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return ax_fail(e, AX_EIO, "cannot write %s:", path);
		q += r;
		off += (uint64_t)r;
		n -= (size_t)r;
	}
	return 0;
}

int ax_fsync(int fd, const char *path, struct ax_err *e)
{
	if (fault() || fsync(fd))
		return ax_fail(e, AX_EIO, "cannot sync %s:", path);
	return 0;
}

int ax_fsync_dir(const char *path, struct ax_err *e)
{
	int rc, fd = ax_open(path, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return ax_fail(e, AX_EIO, "cannot open %s:", path);
	rc = ax_fsync(fd, path, e);
	close(fd);
	return rc;
}

int ax_temp_file(const char *dir, int *fd, struct ax_err *e)
{
	char *path = ax_path_join(dir, "ax-spool-XXXXXX");
	int rc = 0;

	*fd = -1;
	if (!path)
		return ax_fail(e, AX_EMEM, "out of memory");
	if (!fault())
		*fd = mkstemp(path);
	if (*fd < 0)
		rc = ax_fail(e, AX_EIO, "cannot create a temporary file in %s:", dir);
	else
		unlink(path);
	if (!rc && fcntl(*fd, F_SETFD, FD_CLOEXEC)) {
		rc = ax_fail(e, AX_EIO, "cannot set up a temporary file in %s:", dir);
		close(*fd);
		*fd = -1;
	}
	ax_free(path);
	return rc;
}

int ax_close(int fd, const char *path, struct ax_err *e)
{
	int failed = close(fd); /* whatever it says, the descriptor is gone */

	if (fault() || failed)
		return ax_fail(e, AX_EIO, "cannot write %s:", path);
	return 0;
}

int ax_truncate(int fd, uint64_t n, const char *path, struct ax_err *e)
{
	if (fault() || ftruncate(fd, (off_t)n))
		return ax_fail(e, AX_EIO, "cannot write %s:", path);
	return 0;
}

int ax_preallocate(int fd, uint64_t n, const char *path, struct ax_err *e)
{
	int err = fault() ? errno : posix_fallocate(fd, 0, (off_t)n);

	if (err == EINVAL || err == EOPNOTSUPP || err == ENOSYS || err == EINTR)
		return 0;
	errno = err;
	return err ? ax_fail(e, AX_EIO, "cannot write %s:", path) : 0;
}

int ax_write_full(int fd, const void *p, size_t n, const char *path, struct ax_err *e)
{
	return write_full(fd, p, n) ? ax_fail(e, AX_EIO, "cannot write %s:", path) : 0;
}

int ax_rename(const char *from, const char *to, struct ax_err *e)
{
	if (fault() || rename(from, to))
		return ax_fail(e, AX_EIO, "cannot rename %s to %s:", from, to);
	return 0;
}

int ax_disk_free(const char *path, uint64_t *bytes, struct ax_err *e)
{
	char *p = ax_strdup(path);
	struct statvfs v;

	while (p && !ax_path_exists(p)) {
		char *up = ax_path_dir(p);
		ax_free(p);
		p = up;
	}
	if (!p)
		return ax_fail(e, AX_EMEM, "out of memory");
	if (statvfs(p, &v)) {
		ax_free(p);
		return ax_fail(e, AX_EIO, "cannot stat the filesystem of %s:", path);
	}
	ax_free(p);
	*bytes = (uint64_t)v.f_bavail * v.f_frsize;
	return 0;
}

/*
 * Files. All system calls on files pass through here: short reads and EINTR are handled once, and a test can make the
 * n-th call fail (base/fault.h).
 *
 * Reading:	struct ax_in reads a stream ("-" is stdin); struct ax_map maps a regular file.
 * Writing:	struct ax_out writes beside the target and renames at commit: a file is absent or complete.
 *
 *	struct ax_out o;
 *	AX_TRY(ax_out_open(&o, path, flags, e));      // makes missing folders; a terminal is refused unless AX_OUT_TTY
 *	AX_GOTO(ax_out_write(&o, p, n, e));
 *	AX_GOTO(ax_out_commit(&o, e));                // flush, fsync, rename, fsync the folder
 *   out:
 *	ax_out_abort(&o);                             // no effect after a commit; else removes the temporary file
 *
 * "-", /dev/fd/N, devices and named pipes are written as they come, and never replaced; through a link, the file that it
 * points at is replaced, not the link.
 *
 * Folders are published the same way: ax_dir_begin makes a temporary sibling, ax_dir_commit renames it. What a killed run
 * left of a temporary goes when the same output is written again (base/temp.h).
 * A failed fsync is fatal and never retried: after it the pages may be lost though marked clean.
 */
#ifndef AX_BASE_IO_H
#define AX_BASE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

#define AX_IO_BUF ((size_t)256 << 10)

struct ax_in {
	int fd;
	char *path;     /* for messages; "stdin" for "-" */
	uint64_t off;   /* bytes delivered so far */
	bool seekable;  /* a regular file, from its beginning */
	uint64_t size;  /* of one, else 0 */
};

int ax_in_open(struct ax_in *in, const char *path, struct ax_err *e);
/* Up to n bytes; *got < n only at the end of the stream. */
int ax_in_read(struct ax_in *in, void *p, size_t n, size_t *got, struct ax_err *e);
/* Exactly n bytes; AX_EDATA "PATH: ends at byte N" otherwise. */
int ax_in_exact(struct ax_in *in, void *p, size_t n, struct ax_err *e);
/* Go on at byte `off` of a regular file. */
int ax_in_seek(struct ax_in *in, uint64_t off, struct ax_err *e);
void ax_in_close(struct ax_in *in);

/* A read-only mapping. A file of 0 bytes gives p != NULL, n == 0. */
struct ax_map {
	const unsigned char *p;
	size_t n;
};

/* AX_EDATA as ax_no_pointer. */
int ax_map_open(struct ax_map *m, const char *path, struct ax_err *e);
/* The same of an open file, whose descriptor may be closed at once; `path` is for messages. */
int ax_map_fd(struct ax_map *m, int fd, const char *path, struct ax_err *e);
void ax_map_close(struct ax_map *m);
/*
 * These n bytes of a map have been read and will hardly be again: their pages need not stay in the process. They can still
 * be read.
 */
void ax_map_done(const void *p, size_t n);

/* AX_EDATA if these first bytes of a file are Git LFS's pointer to it, which clones without LFS have in its place. */
int ax_no_pointer(const char *path, const void *p, size_t n, struct ax_err *e);

/* The whole file into b (NUL-terminated). AX_EMEM if it is larger than `limit` bytes; AX_EDATA as ax_no_pointer. */
int ax_read_file(const char *path, size_t limit, struct ax_buf *b, struct ax_err *e);

enum ax_out_flags {
	AX_OUT_TTY = 1 << 0,   /* binary data may go to a terminal */
	AX_OUT_TEXT = 1 << 1,  /* text: may always go to a terminal */
	AX_OUT_NOSYNC = 1 << 2, /* no fsync: for scratch files whose folder is synced as a whole */
	AX_OUT_OWN = 1 << 3     /* in a new folder of this process: no former run left anything there (base/temp.h) */
};

struct ax_out {
	int fd;
	char *path, *tmp; /* tmp == NULL: not to be renamed (a stream or device), or committed */
	unsigned flags;
	uint64_t off; /* bytes accepted */
	struct ax_buf buf;
};

int ax_out_open(struct ax_out *o, const char *path, unsigned flags, struct ax_err *e);
int ax_out_write(struct ax_out *o, const void *p, size_t n, struct ax_err *e);
int ax_out_flush(struct ax_out *o, struct ax_err *e);
int ax_out_commit(struct ax_out *o, struct ax_err *e);
void ax_out_abort(struct ax_out *o);

/* Write a small file in one go, atomically. */
int ax_write_file(const char *path, const void *p, size_t n, struct ax_err *e);

/* Positional I/O on a plain descriptor, complete or an error. `path` is for messages. */
int ax_pread_full(int fd, void *p, size_t n, uint64_t off, const char *path, struct ax_err *e);
int ax_pwrite_full(int fd, const void *p, size_t n, uint64_t off, const char *path, struct ax_err *e);
int ax_write_full(int fd, const void *p, size_t n, const char *path, struct ax_err *e);
/* open(2) with O_CLOEXEC, again after EINTR: a descriptor, or -1 with errno for the caller to word. */
int ax_open(const char *path, int flags, mode_t mode);
/* A file in `dir` that has no name any more: it goes with its descriptor. */
int ax_temp_file(const char *dir, int *fd, struct ax_err *e);
/* Close what was written: some filesystems say only here that it did not arrive. */
int ax_close(int fd, const char *path, struct ax_err *e);
int ax_truncate(int fd, uint64_t n, const char *path, struct ax_err *e);
/* Room for n bytes, so that a full disk is found out before they are made. No error where this is not supported. */
int ax_preallocate(int fd, uint64_t n, const char *path, struct ax_err *e);
int ax_fsync(int fd, const char *path, struct ax_err *e);
/* fsync of a folder, so that a rename or a new entry in it survives a power cut. */
int ax_fsync_dir(const char *path, struct ax_err *e);
int ax_rename(const char *from, const char *to, struct ax_err *e);

/* mkdir -p. */
int ax_mkdirs(const char *path, struct ax_err *e);
/* Call fn for each entry of a folder but "." and ".."; the first non-zero result ends the walk and is returned. */
typedef int ax_dir_fn(void *ctx, const char *dir, const char *name, struct ax_err *e);
int ax_dir_each(const char *path, ax_dir_fn *fn, void *ctx, struct ax_err *e);
/* Remove a folder and all below it; does not follow links. A missing folder is no error. */
int ax_remove_tree(const char *path, struct ax_err *e);

/*
 * Publish a folder: *tmp (ax_free) is a new empty sibling of `path`. ax_dir_commit fsyncs it and puts it at `path`; what was
 * there is swapped out in the same step (or moved aside just before, where the filesystem cannot swap) and removed after
 * the parent's fsync. The files inside must have been fsynced by their writers.
 */
int ax_dir_begin(const char *path, char **tmp, struct ax_err *e);
int ax_dir_commit(const char *tmp, const char *path, struct ax_err *e);

/* dir + "/" + name (ax_free); NULL when out of memory. An empty or NULL dir gives name. */
char *ax_path_join(const char *dir, const char *name);
/* Folder part and last component of a path (ax_free). */
char *ax_path_dir(const char *path);
const char *ax_path_base(const char *path);
/* The path to replace for this one (ax_free): what a link points at; without slashes at its end. NULL: out of memory. */
char *ax_path_follow(const char *path);
bool ax_path_exists(const char *path);
bool ax_path_is_dir(const char *path);
/* Are both there, and the same regular file? */
bool ax_path_same(const char *a, const char *b);
/* "-", or neither a regular file nor a folder: a pipe or a device, which can be read once. */
bool ax_path_is_stream(const char *path);
/* Is path, where it exists, the folder dir or something in it, links resolved? Replacing dir would remove it. */
bool ax_path_inside(const char *path, const char *dir);
/*
 * Is `name` safe as one file name that came from an untrusted file? One component of [A-Za-z0-9._-], not starting
 * with a dot: nothing can leave the folder it is joined to.
 */
bool ax_name_is_safe(const char *name);

/* Free bytes on the filesystem that holds `path` (or its nearest existing parent). */
int ax_disk_free(const char *path, uint64_t *bytes, struct ax_err *e);

#endif

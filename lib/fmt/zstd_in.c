#include "fmt/zstd_in.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/io.h"
#include "base/mem.h"

#define WINDOW_LOG_MAX 27

enum codec { CODEC_RAW, CODEC_GZIP, CODEC_ZSTD };

struct ax_zin {
	struct ax_in in;
	enum codec codec;
	bool eof;  /* the file is read to its end */
	bool open; /* inside a member or frame */
	size_t n, at;
	z_stream gz;
	bool gz_live;
	ZSTD_DStream *zs;
	unsigned char buf[AX_IO_BUF];
};

static int fill(struct ax_zin *z, struct ax_err *e)
{
	if (z->at < z->n || z->eof)
		return 0;
	z->at = 0;
	AX_TRY(ax_in_read(&z->in, z->buf, sizeof(z->buf), &z->n, e));
	z->eof = z->n == 0;
	return 0;
}

/* Compressed by what is not read here. */
static int refuse(const struct ax_zin *z, struct ax_err *e)
{
	static const struct {
		size_t n;
		char magic[7];
		const char *name, *command;
	} known[] = {
	    {6, "\xfd" "7zXZ", "xz", "xz -d"},	    {6, "7z\xbc\xaf\x27\x1c", "7z", "7z x"},
	    {4, "PK\x03\x04", "zip", "unzip"},	    {4, "\x04\x22\x4d\x18", "LZ4", "lz4 -d"},
	};
	bool bzip2 = z->n >= 10 && !memcmp(z->buf, "BZh", 3) && !memcmp(z->buf + 4, "1AY&SY", 6);

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (z->n >= known[i].n && !memcmp(z->buf, known[i].magic, known[i].n))
			return ax_fail(e, AX_EDATA, "%s: a %s file is not read: unpack it first (%s)", z->in.path,
				       known[i].name, known[i].command);
	return bzip2 ? ax_fail(e, AX_EDATA, "%s: a bzip2 file is not read: unpack it first (bzip2 -d)", z->in.path) : 0;
}

static int start_codec(struct ax_zin *z, struct ax_err *e)
{
	static const unsigned char zstd_magic[4] = {0x28, 0xb5, 0x2f, 0xfd};

	AX_TRY(fill(z, e));
	if (z->n >= 2 && z->buf[0] == 0x1f && z->buf[1] == 0x8b) {
		z->codec = CODEC_GZIP;
		if (inflateInit2(&z->gz, 15 + 16) != Z_OK)
			return ax_fail(e, AX_EMEM, "%s: out of memory for gzip", z->in.path);
		z->gz_live = true;
	} else if (z->n >= 4 && !memcmp(z->buf, zstd_magic, 4)) {
		z->codec = CODEC_ZSTD;
		z->zs = ZSTD_createDStream();
		if (!z->zs || ZSTD_isError(ZSTD_DCtx_setParameter(z->zs, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
			return ax_fail(e, AX_EMEM, "%s: out of memory for zstd", z->in.path);
	}
	return refuse(z, e);
}

int ax_zin_open(struct ax_zin **out, const char *path, struct ax_err *e)
{
	struct ax_zin *z = ax_calloc(1, sizeof(*z));
	int rc;

	if (!z)
		return ax_fail(e, AX_EMEM, "out of memory");
	rc = ax_in_open(&z->in, path, e);
	if (rc) {
		ax_free(z);
		return rc;
	}
	rc = start_codec(z, e);
	if (rc) {
		ax_zin_close(z);
		return rc;
	}
	*out = z;
	return 0;
}

static int cut(struct ax_zin *z, struct ax_err *e)
{
	return ax_fail(e, AX_EDATA, "%s: compressed data ends at byte %llu, in the middle", z->in.path,
		       (unsigned long long)z->in.off);
}

static int read_raw(struct ax_zin *z, unsigned char *p, size_t n, size_t *got, struct ax_err *e)
{
	size_t have = z->n - z->at, more = 0;

	if (have > n)
		have = n;
	memcpy(p, z->buf + z->at, have);
	z->at += have;
	if (have < n && !z->eof)
		AX_TRY(ax_in_read(&z->in, p + have, n - have, &more, e));
	*got = have + more;
	return 0;
}

static int step_gzip(struct ax_zin *z, unsigned char *p, size_t n, size_t *got, struct ax_err *e)
{
	int rc;

	z->gz.next_in = z->buf + z->at;
	z->gz.avail_in = (uInt)(z->n - z->at);
	z->gz.next_out = p;
	z->gz.avail_out = (uInt)(n > (1u << 30) ? 1u << 30 : n);
	z->open = true;
	rc = inflate(&z->gz, Z_NO_FLUSH);
	*got = (size_t)(z->gz.next_out - p);
	z->at = z->n - z->gz.avail_in;
	if (rc == Z_STREAM_END) {
		z->open = false;
		inflateReset(&z->gz);
	} else if (rc == Z_MEM_ERROR) {
		return ax_fail(e, AX_EMEM, "%s: out of memory for gzip", z->in.path);
	} else if (rc != Z_OK && rc != Z_BUF_ERROR) {
		return ax_fail(e, AX_EDATA, "%s: damaged gzip data near byte %llu: %s", z->in.path,
			       (unsigned long long)(z->in.off - (z->n - z->at)), z->gz.msg ? z->gz.msg : "unreadable");
	}
	return 0;
}

static int step_zstd(struct ax_zin *z, unsigned char *p, size_t n, size_t *got, struct ax_err *e)
{
	ZSTD_inBuffer in = {z->buf, z->n, z->at};
	ZSTD_outBuffer out = {p, n, 0};
	size_t rc = ZSTD_decompressStream(z->zs, &out, &in);

	if (ZSTD_isError(rc))
		return ax_fail(e, AX_EDATA, "%s: damaged zstd data near byte %llu: %s", z->in.path,
			       (unsigned long long)(z->in.off - (z->n - z->at)), ZSTD_getErrorName(rc));
	z->at = in.pos;
	z->open = rc != 0;
	*got = out.pos;
	return 0;
}

int ax_zin_read(struct ax_zin *z, void *p, size_t n, size_t *got, struct ax_err *e)
{
	size_t done = 0;

	if (z->codec == CODEC_RAW)
		return read_raw(z, p, n, got, e);
	while (done < n) {
		size_t step = 0;

		AX_TRY(fill(z, e));
		if (z->eof && !z->open)
			break;
		AX_TRY(
		    (z->codec == CODEC_GZIP ? step_gzip : step_zstd)(z, (unsigned char *)p + done, n - done, &step, e));
		done += step;
		if (z->eof && z->open && step == 0)
			return cut(z, e);
	}
	*got = done;
	return 0;
}

bool ax_zin_plain(const struct ax_zin *z)
{
	return z->codec == CODEC_RAW && z->in.seekable;
}

/* What has been read and the rest of the stream into the file. */
static int spool(struct ax_zin *z, const void *head, size_t n, int fd, struct ax_err *e)
{
	static const char name[] = "the temporary file";
	unsigned char *buf = ax_malloc(AX_IO_BUF);
	int rc = buf ? ax_write_full(fd, head, n, name, e) : ax_fail(e, AX_EMEM, "out of memory");

	for (size_t got = 1; !rc && got;) {
		rc = ax_zin_read(z, buf, AX_IO_BUF, &got, e);
		if (!rc && got)
			rc = ax_write_full(fd, buf, got, name, e);
	}
	ax_free(buf);
	return rc ? ax_err_prefix(e, "%s must be put into a file to be read: ", z->in.path) : 0;
}

int ax_zin_map(struct ax_zin *z, const void *head, size_t n, struct ax_map *m, struct ax_err *e)
{
	const char *dir = getenv("TMPDIR");
	int fd, rc;

	if (ax_zin_plain(z))
		return ax_map_fd(m, z->in.fd, z->in.path, e);
	AX_TRY(ax_temp_file(dir && *dir ? dir : "/tmp", &fd, e));
	rc = spool(z, head, n, fd, e);
	rc = rc ? rc : ax_map_fd(m, fd, z->in.path, e);
	ax_close(fd, z->in.path, NULL);
	return rc;
}

const char *ax_zin_name(const struct ax_zin *z)
{
	return z->in.path;
}

void ax_zin_close(struct ax_zin *z)
{
	if (!z)
		return;
	if (z->gz_live)
		inflateEnd(&z->gz);
	ZSTD_freeDStream(z->zs);
	ax_in_close(&z->in);
	ax_free(z);
}

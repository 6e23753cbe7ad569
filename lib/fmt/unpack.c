#include "fmt/unpack.h"

#include <stdbool.h>
#include <string.h>
#include <xxhash.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"

static const char *const name[] = {"uncompressed", "Snappy", "gzip", "zstd", "LZ4", "LZ4"};

int ax_unpack_check(enum ax_codec codec, size_t n, uint64_t n_out, struct ax_err *e)
{
	/* the most bytes that one byte can stand for; a zstd block makes 128 KiB of four */
	static const uint64_t most[] = {1, 22, 1040, 40000, 256, 256};

	if (n_out > AX_UNPACK_MAX)
		return ax_fail(e, AX_EMEM, "a block of %llu MiB; the most is %llu", (unsigned long long)(n_out >> 20),
			       (unsigned long long)(AX_UNPACK_MAX >> 20));
	if (n_out / most[codec] > n)
		return ax_fail(e, AX_EDATA, "%zu bytes of %s data cannot make %llu", n, name[codec],
			       (unsigned long long)n_out);
	return 0;
}

struct cursor {
	const unsigned char *p, *end;
	unsigned char *begin, *o, *o_end;
};

/* n bytes as they are. Short ones are copied by 16, beyond their end, where there is room for it. */
static inline bool literal(struct cursor *c, size_t n)
{
	if (n > (size_t)(c->end - c->p) || n > (size_t)(c->o_end - c->o))
		return false;
	if (n <= 64 && c->end - c->p >= 64 && c->o_end - c->o >= 64) {
		memcpy(c->o, c->p, 16);
		for (size_t i = 16; i < n; i += 16)
			memcpy(c->o + i, c->p + i, 16);
	} else {
		memcpy(c->o, c->p, n);
	}
	c->p += n;
	c->o += n;
	return true;
}

/* n bytes again from `back` bytes before; they may overlap themselves. */
static inline bool repeat(struct cursor *c, size_t back, size_t n)
{
	const unsigned char *from = c->o - back;
	size_t room = (size_t)(c->o_end - c->o);

	if (back == 0 || back > (size_t)(c->o - c->begin) || n > room)
		return false;
	if (back >= 16 && room >= n + 16) {
		for (size_t i = 0; i < n; i += 16)
			memcpy(c->o + i, from + i, 16);
	} else if (back >= 8 && room >= n + 8) {
		for (size_t i = 0; i < n; i += 8)
			memcpy(c->o + i, from + i, 8);
	} else {
		for (size_t i = 0; i < n; i++)
			c->o[i] = from[i];
	}
	c->o += n;
	return true;
}

/* Little-endian integer of n <= 4 bytes. */
static inline bool number(struct cursor *c, unsigned n, size_t *v)
{
	static const size_t mask[] = {0, 0xff, 0xffff, 0xffffff, 0xffffffff};

	if (c->end - c->p >= 4) {
		*v = ax_get_u32(c->p) & mask[n];
		c->p += n;
		return true;
	}
	*v = 0;
	for (unsigned i = 0; i < n; i++) {
		if (c->p == c->end)
			return false;
		*v |= (size_t)*c->p++ << 8 * i;
	}
	return true;
}

static bool varint(struct cursor *c, size_t *v)
{
	*v = 0;
	for (unsigned shift = 0; shift < 35 && c->p < c->end; shift += 7) {
		*v |= (size_t)(*c->p & 127) << shift;
		if (!(*c->p++ & 128))
			return true;
	}
	return false;
}

static inline bool snappy_element(struct cursor *c)
{
	unsigned tag = *c->p++;
	size_t n = tag >> 2, low;

	switch (tag & 3) {
	case 0:
		if (n >= 60 && !number(c, (unsigned)n - 59, &n))
			return false;
		return literal(c, n + 1);
	case 1:
		return number(c, 1, &low) && repeat(c, (size_t)(tag >> 5) << 8 | low, (n & 7) + 4);
	case 2:
		return number(c, 2, &low) && repeat(c, low, n + 1);
	default:
		return number(c, 4, &low) && repeat(c, low, n + 1);
	}
}

static bool snappy(struct cursor *c)
{
	size_t n;

	if (!varint(c, &n) || n != (size_t)(c->o_end - c->o))
		return false;
	while (c->p < c->end)
		if (!snappy_element(c))
			return false;
	return c->o == c->o_end;
}

/* What follows a length of 15: bytes to add, to the first that is not 255. */
static bool lz4_length(struct cursor *c, size_t *n)
{
	unsigned byte = 255;

	while (byte == 255) {
		if (c->p == c->end)
			return false;
		byte = *c->p++;
		*n += byte;
	}
	return true;
}

static bool lz4_block(struct cursor *c)
{
	while (c->p < c->end) {
		unsigned token = *c->p++;
		size_t n = token >> 4, back;

		if ((n == 15 && !lz4_length(c, &n)) || !literal(c, n))
			return false;
		if (c->p == c->end)
			return true;
		n = token & 15;
		if (!number(c, 2, &back) || (n == 15 && !lz4_length(c, &n)) || !repeat(c, back, n + 4))
			return false;
	}
	return true;
}

static bool lz4_checksum(struct cursor *c, const void *p, size_t n)
{
	size_t sum;

	return number(c, 4, &sum) && sum == XXH32(p, n, 0);
}

/* One block of a frame; *last at its end mark. Blocks may refer to what those before them made. */
static bool lz4_frame_block(struct cursor *c, bool checksum, bool *last)
{
	const unsigned char *end = c->end, *at;
	size_t size, n;
	bool good;

	if (!number(c, 4, &size))
		return false;
	n = size & 0x7fffffff;
	*last = size == 0;
	if (*last)
		return true;
	if (n > (size_t)(c->end - c->p))
		return false;
	at = c->p;
	c->end = c->p + n;
	good = size >> 31 ? literal(c, n) : lz4_block(c);
	c->end = end;
	return good && (!checksum || lz4_checksum(c, at, n));
}

static bool lz4_frame(struct cursor *c)
{
	const unsigned char *head;
	size_t magic, flags, sum, skip;
	bool last = false;

	if (!number(c, 4, &magic) || magic != 0x184d2204 || !number(c, 2, &flags) || (flags >> 6 & 3) != 1)
		return false;
	head = c->p - 2;
	skip = (flags & 8 ? 8 : 0) + (flags & 1 ? 4 : 0);
	if ((size_t)(c->end - c->p) < skip)
		return false;
	c->p += skip;
	if (!number(c, 1, &sum) || sum != (XXH32(head, (size_t)(c->p - 1 - head), 0) >> 8 & 255))
		return false;
	while (!last)
		if (!lz4_frame_block(c, flags & 16, &last))
			return false;
	return c->o == c->o_end && (!(flags & 4) || lz4_checksum(c, c->begin, (size_t)(c->o - c->begin)));
}

static bool gunzip(struct cursor *c)
{
	z_stream z = {.next_in = (unsigned char *)(uintptr_t)c->p, .avail_in = (uInt)(c->end - c->p)};
	int rc;

	if (c->end - c->p > UINT32_MAX || inflateInit2(&z, 15 + 32) != Z_OK)
		return false;
	z.next_out = c->o;
	z.avail_out = (uInt)(c->o_end - c->o);
	do { /* members may follow each other */
		rc = inflate(&z, Z_FINISH);
	} while (rc == Z_STREAM_END && z.avail_in && z.avail_out && inflateReset(&z) == Z_OK);
	inflateEnd(&z);
	return rc == Z_STREAM_END && z.avail_out == 0;
}

static bool unzstd(struct cursor *c)
{
	size_t room = (size_t)(c->o_end - c->o);

	return ZSTD_decompress(c->o, room, c->p, (size_t)(c->end - c->p)) == room;
}

int ax_unpack(enum ax_codec codec, const void *in, size_t n, void *out, size_t n_out, struct ax_err *e)
{
	struct cursor c = {.p = in, .begin = out, .o = out};
	bool good = false;

	c.end = c.p + n;
	c.o_end = c.o + n_out;
	switch (codec) {
	case AX_CODEC_NONE:
		good = n == n_out && literal(&c, n);
		break;
	case AX_CODEC_SNAPPY:
		good = snappy(&c);
		break;
	case AX_CODEC_GZIP:
		good = gunzip(&c);
		break;
	case AX_CODEC_ZSTD:
		good = unzstd(&c);
		break;
	case AX_CODEC_LZ4_RAW:
		good = lz4_block(&c) && c.o == c.o_end;
		break;
	case AX_CODEC_LZ4_FRAME:
		good = lz4_frame(&c);
		break;
	}
	return good ? 0 : ax_fail(e, AX_EDATA, "damaged %s data, or not of the length it is said to have", name[codec]);
}

#include "fmt/frame.h"

#include <string.h>
#include <zstd.h>

#include "base/hash.h"
#include "base/mem.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "arrays are stored as they lie in memory: little-endian only");

void ax_frame_head_put(const struct ax_frame_head *h, unsigned char p[AX_FRAME_HEAD])
{
	memset(p, 0, AX_FRAME_HEAD);
	ax_put_u32(p, AX_FRAME_MAGIC);
	p[4] = (unsigned char)h->kind;
	p[5] = (unsigned char)(h->kind >> 8);
	p[6] = h->codec;
	ax_put_u32(p + 8, h->raw);
	ax_put_u32(p + 12, h->stored);
	ax_put_u64(p + 16, h->hash);
	ax_put_u32(p + 24, h->check);
	ax_put_u32(p + 28, (uint32_t)ax_hash64(p, 28));
}

int ax_frame_head_parse(struct ax_frame_head *h, const unsigned char p[AX_FRAME_HEAD], struct ax_err *e)
{
	if (ax_get_u32(p) != AX_FRAME_MAGIC)
		return ax_fail(e, AX_EDATA, "no frame here (wrong magic)");
	if (ax_get_u32(p + 28) != (uint32_t)ax_hash64(p, 28))
		return ax_fail(e, AX_EDATA, "damaged frame header (checksum differs)");
	h->kind = (uint16_t)(p[4] | p[5] << 8);
	h->codec = p[6];
	h->raw = ax_get_u32(p + 8);
	h->stored = ax_get_u32(p + 12);
	h->hash = ax_get_u64(p + 16);
	h->check = ax_get_u32(p + 24);
	if (h->codec > AX_CODEC_ZSTD || p[7])
		return ax_fail(e, AX_EDATA, "frame of codec %d is not known to this version", h->codec);
	if (h->raw > AX_FRAME_RAW_MAX)
		return ax_fail(e, AX_EDATA, "frame of %u bytes is larger than the format allows", h->raw);
	if (h->codec == AX_CODEC_RAW ? h->stored != h->raw : h->stored >= h->raw)
		return ax_fail(e, AX_EDATA, "frame sizes disagree (%u stored, %u raw)", h->stored, h->raw);
	return 0;
}

int ax_frame_enc_init(struct ax_frame_enc *enc, int level, struct ax_err *e)
{
	memset(enc, 0, sizeof(*enc));
	enc->level = level;
	if (!level)
		return 0;
	enc->zc = ZSTD_createCCtx();
	if (!enc->zc)
		return ax_fail(e, AX_EMEM, "out of memory for zstd");
	if (ZSTD_isError(ZSTD_CCtx_setParameter(enc->zc, ZSTD_c_compressionLevel, level)) ||
	    (level > 16 && ZSTD_isError(ZSTD_CCtx_setParameter(enc->zc, ZSTD_c_windowLog, 23)))) {
		ax_frame_enc_release(enc);
		return ax_fail(e, AX_EUSAGE, "zstd does not take level %d", level);
	}
	return 0;
}

void ax_frame_enc_release(struct ax_frame_enc *enc)
{
	ZSTD_freeCCtx(enc->zc);
	ax_free(enc->z);
	memset(enc, 0, sizeof(*enc));
}

static int room(unsigned char **p, size_t *cap, size_t n, struct ax_err *e)
{
	unsigned char *q;

	if (n < *cap) /* not <=: an empty payload has an address too */
		return 0;
	n += n / 4 + 64;
	q = ax_malloc_aligned(64, n);
	if (!q)
		return ax_fail(e, AX_EMEM, "out of memory for a frame");
	ax_free(*p);
	*p = q;
	*cap = n;
	return 0;
}

int ax_frame_encode(struct ax_frame_enc *enc, uint16_t kind, const void *p, size_t n, struct ax_frame_head *h,
		    const void **stored, struct ax_err *e)
{
	size_t z;

	if (n > AX_FRAME_RAW_MAX)
		return ax_fail(e, AX_EMEM, "a frame of %zu bytes is larger than the format allows (16 MiB)", n);
	h->kind = kind;
	h->codec = AX_CODEC_RAW;
	h->raw = h->stored = (uint32_t)n;
	h->hash = ax_hash64(p, n);
	h->check = (uint32_t)h->hash;
	*stored = p;
	if (!enc->level || !n)
		return 0;
	AX_TRY(room(&enc->z, &enc->z_cap, ZSTD_compressBound(n), e));
	z = ZSTD_compress2(enc->zc, enc->z, enc->z_cap, p, n);
	if (ZSTD_isError(z))
		return ax_fail(e, AX_EMEM, "zstd: %s", ZSTD_getErrorName(z));
	if (z >= n)
		return 0;
	h->codec = AX_CODEC_ZSTD;
	h->stored = (uint32_t)z;
	h->check = (uint32_t)ax_hash64(enc->z, z);
	*stored = enc->z;
	return 0;
}

int ax_frame_write(struct ax_frame_enc *enc, struct ax_out *o, uint16_t kind, const void *p, size_t n, struct ax_err *e)
{
	unsigned char head[AX_FRAME_HEAD];
	struct ax_frame_head h;
	const void *stored;

	AX_TRY(ax_frame_encode(enc, kind, p, n, &h, &stored, e));
	ax_frame_head_put(&h, head);
	AX_TRY(ax_out_write(o, head, sizeof(head), e));
	return ax_out_write(o, stored, h.stored, e);
}

void ax_frame_dec_init(struct ax_frame_dec *d)
{
	memset(d, 0, sizeof(*d));
}

void ax_frame_dec_release(struct ax_frame_dec *d)
{
	ZSTD_freeDCtx(d->zd);
	ax_free(d->in);
	ax_free(d->out);
	memset(d, 0, sizeof(*d));
}

/*
 * Window that a zstd frame header asks for (RFC 8878, 3.1.1.1), read by hand because the one-shot decoder does not limit
 * it; 0 when the header is too short or no zstd.
 */
static uint64_t zstd_window(const unsigned char *p, size_t n)
{
	static const unsigned char dict_bytes[4] = {0, 1, 2, 4};
	unsigned desc, w;
	uint64_t base;

	if (n < 6 || ax_get_u32(p) != ZSTD_MAGICNUMBER)
		return 0;
	desc = p[4];
	if (desc & 0x20) { /* single segment: the window is the content size */
		unsigned long long size = ZSTD_getFrameContentSize(p, n);

		return size >= ZSTD_CONTENTSIZE_ERROR ? 0 : size + 1;
	}
	if (dict_bytes[desc & 3])
		return 0;
	w = p[5];
	base = (uint64_t)1 << (10 + (w >> 3));
	return base + base / 8 * (w & 7);
}

static int unzstd(struct ax_frame_dec *d, const struct ax_frame_head *h, const unsigned char *p, struct ax_err *e)
{
	uint64_t window = zstd_window(p, h->stored);
	size_t n;

	if (!window || ZSTD_findFrameCompressedSize(p, h->stored) != h->stored)
		return ax_fail(e, AX_EDATA, "damaged zstd data");
	if (window > AX_FRAME_WINDOW_MAX + 1)
		return ax_fail(e, AX_EDATA, "zstd window of %llu bytes is larger than the format allows (8 MiB)",
			       (unsigned long long)window);
	if (!d->zd)
		d->zd = ZSTD_createDCtx();
	if (!d->zd)
		return ax_fail(e, AX_EMEM, "out of memory for zstd");
	AX_TRY(room(&d->out, &d->out_cap, h->raw, e));
	n = ZSTD_decompressDCtx(d->zd, d->out, h->raw, p, h->stored);
	if (ZSTD_isError(n) || n != h->raw)
		return ax_fail(e, AX_EDATA, "damaged zstd data%s%s", ZSTD_isError(n) ? ": " : "",
			       ZSTD_isError(n) ? ZSTD_getErrorName(n) : "");
	return 0;
}

int ax_frame_decode(struct ax_frame_dec *d, const struct ax_frame_head *h, const unsigned char *stored,
		    const unsigned char **raw, struct ax_err *e)
{
	uint64_t hash = ax_hash64(stored, h->stored);

	*raw = stored;
	if ((uint32_t)hash != h->check)
		return ax_fail(e, AX_EDATA, "damaged data (checksum of the payload differs)");
	if (h->codec == AX_CODEC_ZSTD) {
		AX_TRY(unzstd(d, h, stored, e));
		*raw = d->out;
		hash = ax_hash64(*raw, h->raw);
	}
	if (hash != h->hash)
		return ax_fail(e, AX_EDATA, "damaged data (checksum of the payload differs)");
	return 0;
}

int ax_frame_read(struct ax_frame_dec *d, struct ax_in *in, struct ax_frame_head *h, const unsigned char **raw,
		  bool *end, struct ax_err *e)
{
	unsigned char head[AX_FRAME_HEAD];
	uint64_t off = in->off;
	size_t got;
	int rc;

	*end = false;
	AX_TRY(ax_in_read(in, head, sizeof(head), &got, e));
	if (got == 0) {
		*end = true;
		return 0;
	}
	if (got < sizeof(head))
		return ax_fail(e, AX_EDATA, "%s: ends at byte %llu, in the middle of a frame header", in->path,
			       (unsigned long long)in->off);
	rc = ax_frame_head_parse(h, head, e);
	if (!rc)
		rc = room(&d->in, &d->in_cap, h->stored, e);
	if (rc) {
		ax_err_prefix(e, "%s: byte %llu: ", in->path, (unsigned long long)off);
		return rc;
	}
	AX_TRY(ax_in_read(in, d->in, h->stored, &got, e));
	if (got < h->stored)
		return ax_fail(e, AX_EDATA, "%s: ends at byte %llu, in the middle of the frame at byte %llu", in->path,
			       (unsigned long long)in->off, (unsigned long long)off);
	rc = ax_frame_decode(d, h, d->in, raw, e);
	if (rc)
		ax_err_prefix(e, "%s: frame at byte %llu: ", in->path, (unsigned long long)off);
	return rc;
}

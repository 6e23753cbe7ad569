/*
 * A growing byte buffer.
 *
 *	struct ax_buf b = AX_BUF_INIT;
 *	ax_buf_addf(&b, "%d tokens", n);
 *	ax_buf_add(&b, p, n);
 *	if (b.oom) ...                     // sticky: check once, after the last add
 *	use(b.p, b.n);                     // b.p[b.n] is always '\0' once anything was added
 *	ax_buf_release(&b);
 *
 * An add that finds no memory sets `oom` and changes nothing else; all later adds are ignored.
 */
#ifndef AX_BASE_BUF_H
#define AX_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ax_buf {
	char *p;
	size_t n, cap;
	bool oom;
};

#define AX_BUF_INIT                                                                                                    \
	{                                                                                                              \
		NULL, 0, 0, false                                                                                      \
	}

void ax_buf_init(struct ax_buf *b);
/* Make room for n more bytes. */
void ax_buf_reserve(struct ax_buf *b, size_t n);
void ax_buf_add(struct ax_buf *b, const void *p, size_t n);
void ax_buf_adds(struct ax_buf *b, const char *s);
void ax_buf_addc(struct ax_buf *b, char c);
void ax_buf_addf(struct ax_buf *b, const char *fmt, ...) AX_PRINTF(2, 3);
/* Little-endian integers. */
void ax_buf_add_u32(struct ax_buf *b, uint32_t v);
void ax_buf_add_u64(struct ax_buf *b, uint64_t v);
/* Empty, keeping the memory (and clearing oom). */
void ax_buf_reset(struct ax_buf *b);
/* Hand the NUL-terminated bytes to the caller (ax_free); b is empty afterwards. NULL when oom. */
char *ax_buf_detach(struct ax_buf *b);
void ax_buf_release(struct ax_buf *b);

/* Little-endian loads from unaligned bytes. */
uint32_t ax_get_u32(const void *p);
uint64_t ax_get_u64(const void *p);
void ax_put_u32(void *p, uint32_t v);
void ax_put_u64(void *p, uint64_t v);

#endif

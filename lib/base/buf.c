#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void ax_buf_init(struct ax_buf *b)
{
	memset(b, 0, sizeof(*b));
}

void ax_buf_reserve(struct ax_buf *b, size_t n)
{
	size_t want, cap;
	char *q;

	if (b->oom || b->cap - b->n > n)
		return;
	if (!ax_add_size(b->n, n, &want) || !ax_add_size(want, 1, &want)) {
		b->oom = true;
		return;
	}
	if (want <= b->cap)
		return;
	cap = b->cap + b->cap / 2 + 32;
	if (cap < want)
		cap = want;
	q = ax_realloc(b->p, cap);
	if (!q) {
		b->oom = true;
		return;
	}
	b->p = q;
	b->cap = cap;
}

void ax_buf_add(struct ax_buf *b, const void *p, size_t n)
{
	ax_buf_reserve(b, n);
	if (b->oom)
		return;
	if (n)
		memcpy(b->p + b->n, p, n);
	b->n += n;
	b->p[b->n] = '\0';
}

void ax_buf_adds(struct ax_buf *b, const char *s)
{
	ax_buf_add(b, s, strlen(s));
}

void ax_buf_addc(struct ax_buf *b, char c)
{
	ax_buf_add(b, &c, 1);
}

void ax_buf_addf(struct ax_buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	ax_buf_reserve(b, (size_t)n);
	if (b->oom)
		return;
	va_start(ap, fmt);
	vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->n += (size_t)n;
}

void ax_put_u32(void *p, uint32_t v)
{
	unsigned char *b = p;

	for (int i = 0; i < 4; i++)
		b[i] = (unsigned char)(v >> (8 * i));
}

void ax_put_u64(void *p, uint64_t v)
{
	unsigned char *b = p;

	for (int i = 0; i < 8; i++)
		b[i] = (unsigned char)(v >> (8 * i));
}

uint32_t ax_get_u32(const void *p)
{
	const unsigned char *b = p;

	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

uint64_t ax_get_u64(const void *p)
{
	const unsigned char *b = p;

	return (uint64_t)ax_get_u32(b) | (uint64_t)ax_get_u32(b + 4) << 32;
}

void ax_buf_add_u32(struct ax_buf *b, uint32_t v)
{
	unsigned char t[4];

	ax_put_u32(t, v);
	ax_buf_add(b, t, sizeof(t));
}

void ax_buf_add_u64(struct ax_buf *b, uint64_t v)
{
	unsigned char t[8];

	ax_put_u64(t, v);
	ax_buf_add(b, t, sizeof(t));
}

void ax_buf_reset(struct ax_buf *b)
{
	b->n = 0;
	b->oom = false;
	if (b->p)
		b->p[0] = '\0';
}

char *ax_buf_detach(struct ax_buf *b)
{
	char *p;

	ax_buf_reserve(b, 0);
	if (b->oom) {
		ax_buf_release(b);
		return NULL;
	}
	b->p[b->n] = '\0';
	p = b->p;
	ax_buf_init(b);
	return p;
}

void ax_buf_release(struct ax_buf *b)
{
	ax_free(b->p);
	ax_buf_init(b);
}

#include "tok/show.h"

/* Bytes of the whole UTF-8 character at p, 0 if there is none in n bytes. */
static size_t whole_char(const unsigned char *p, size_t n)
{
	size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;

	if (len == 0 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* overlong forms, surrogates, beyond U+10FFFF */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

/* C0, DEL, C1; U+200E, U+200F, U+2028-202E, U+2066-2069 turn the direction of a line. */
static bool is_dangerous(const unsigned char *p, size_t len)
{
	if (len == 1)
		return p[0] < 0x20 || p[0] == 0x7f;
	if (len == 2)
		return p[0] == 0xc2 && p[1] < 0xa0;
	if (len != 3 || p[0] != 0xe2)
		return false;
	return (p[1] == 0x80 && (p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae))) ||
	       (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9);
}

/* `lines`: new lines, tabs and backslashes stay as they are. */
static void add_escaped(struct ax_buf *b, const unsigned char *p, size_t n, bool lines)
{
	for (size_t i = 0; i < n;) {
		size_t len = whole_char(p + i, n - i);

		if (lines && len == 1 && (p[i] == '\\' || p[i] == '\n' || p[i] == '\t'))
			ax_buf_addc(b, (char)p[i]);
		else if (p[i] == '\\')
			ax_buf_adds(b, "\\\\");
		else if (len && !is_dangerous(p + i, len))
			ax_buf_add(b, p + i, len);
		else if (p[i] == '\n')
			ax_buf_adds(b, "\\n");
		else if (p[i] == '\t')
			ax_buf_adds(b, "\\t");
		else
			for (size_t k = 0; k < (len ? len : 1); k++)
				ax_buf_addf(b, "\\x%02x", p[i + k]);
		i += len ? len : 1;
	}
}

void ax_show_tokens(struct ax_buf *b, const struct ax_tokenizer *t, const uint32_t *id, size_t n)
{
	struct ax_buf bytes = AX_BUF_INIT;

	for (size_t i = 0; i < n; i++)
		if (!ax_tokenizer_bytes(t, id[i], &bytes))
			ax_buf_addf(&bytes, "<%u>", id[i]);
	if (bytes.n)
		add_escaped(b, (const unsigned char *)bytes.p, bytes.n, false);
	b->oom |= bytes.oom;
	ax_buf_release(&bytes);
}

void ax_show_line(struct ax_buf *b, const char *text, size_t n)
{
	add_escaped(b, (const unsigned char *)text, n, false);
}

void ax_show_text(struct ax_buf *b, const char *text, size_t n)
{
	add_escaped(b, (const unsigned char *)text, n, true);
}

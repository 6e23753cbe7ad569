#include <ctype.h>
#include <math.h>
#include <string.h>

#include "text/json.h"
#include "text/yaml.h"

#define LONG_KEY ((size_t)100) /* longer ones are written with "? ", as YAML limits the others */

static void write_node(struct ax_buf *b, const struct ax_val *v, int indent);

/* Can the string stand without quotes and still be a string to any YAML reader? Asks less than YAML would allow. */
static bool is_plain(const char *s, size_t n)
{
	const struct ax_val *v;
	struct ax_arena a;
	bool str;

	if (n == 0 || !(isalpha((unsigned char)s[0]) || s[0] == '_' || s[0] == '/'))
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		bool inner = i > 0 && i + 1 < n;

		if (c >= 0x80 || !c || !(isalnum(c) || strchr("_./+@%-", c) || (c == ' ' && inner && s[i - 1] != ' ')))
			return false;
	}
	ax_arena_init(&a, 0);
	v = ax_yaml_plain(&a, s, n);
	str = v && v->type == AX_STR;
	ax_arena_release(&a);
	return str;
}

/* One character (n bytes at p) inside double quotes. */
static void write_char(struct ax_buf *b, const unsigned char *p, size_t n)
{
	uint32_t c = n == 1 ? p[0] : p[0] & (0xffU >> (n + 1));

	for (size_t i = 1; i < n; i++)
		c = c << 6 | (p[i] & 0x3f);
	if (c == '"' || c == '\\')
		ax_buf_addf(b, "\\%c", (int)c);
	else if (c == '\n')
		ax_buf_adds(b, "\\n");
	else if (c == '\t')
		ax_buf_adds(b, "\\t");
	else if (c < 0x20 || (c >= 0x7f && c <= 0xa0))
		ax_buf_addf(b, "\\x%02x", c);
	else if (c == 0x2028 || c == 0x2029 || c == 0xfeff || c == 0xfffe || c == 0xffff)
		ax_buf_addf(b, "\\u%04x", c);
	else
		ax_buf_add(b, p, n);
}

static void write_str(struct ax_buf *b, const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t i = 0;

	if (is_plain(s, n)) {
		ax_buf_add(b, s, n);
		return;
	}
	ax_buf_addc(b, '"');
	while (i < n) {
		size_t k = p[i] < 0x80 ? 1 : p[i] < 0xe0 ? 2 : p[i] < 0xf0 ? 3 : 4;

		if (k > n - i)
			k = n - i;
		write_char(b, p + i, k);
		i += k;
	}
	ax_buf_addc(b, '"');
}

/* YAML 1.1 wants a point: 2e-05 would be a string. */
static void write_float(struct ax_buf *b, double f)
{
	struct ax_buf t = AX_BUF_INIT;
	const char *x;

	if (isnan(f) || isinf(f)) {
		ax_buf_adds(b, isnan(f) ? ".nan" : f < 0 ? "-.inf" : ".inf");
		return;
	}
	ax_write_float(&t, f);
	x = t.oom ? NULL : strchr(t.p, 'e');
	if (t.oom)
		b->oom = true;
	else if (x && !strchr(t.p, '.'))
		ax_buf_addf(b, "%.*s.0%s", (int)(x - t.p), t.p, x);
	else
		ax_buf_add(b, t.p, t.n);
	ax_buf_release(&t);
}

static bool is_block(const struct ax_val *v)
{
	return v && (v->type == AX_LIST || v->type == AX_MAP) && v->n;
}

static void write_scalar(struct ax_buf *b, const struct ax_val *v)
{
	switch (v ? v->type : AX_NULL) {
	case AX_NULL:
		ax_buf_adds(b, "null");
		break;
	case AX_BOOL:
		ax_buf_adds(b, v->u.b ? "true" : "false");
		break;
	case AX_INT:
		ax_buf_addf(b, "%lld", (long long)v->u.i);
		break;
	case AX_FLOAT:
		write_float(b, v->u.f);
		break;
	case AX_STR:
		if (v->number)
			ax_buf_add(b, v->u.s, v->n);
		else
			write_str(b, v->u.s, v->n);
		break;
	case AX_LIST:
		ax_buf_adds(b, "[]");
		break;
	case AX_MAP:
		ax_buf_adds(b, "{}");
		break;
	}
}

static void pad(struct ax_buf *b, int indent)
{
	for (int i = 0; i < indent; i++)
		ax_buf_addc(b, ' ');
}

/* Elements at `indent`; the first stands where the text already is. */
static void write_list(struct ax_buf *b, const struct ax_val *v, int indent)
{
	for (size_t i = 0; i < v->n; i++) {
		if (i)
			pad(b, indent);
		ax_buf_adds(b, "- ");
		write_node(b, v->u.item[i], indent + 2);
	}
}

static void write_map(struct ax_buf *b, const struct ax_val *v, int indent)
{
	for (size_t i = 0; i < v->n; i++) {
		const struct ax_pair *p = &v->u.pair[i];

		if (i)
			pad(b, indent);
		if (p->key_n > LONG_KEY) {
			ax_buf_adds(b, "? ");
			write_str(b, p->key, p->key_n);
			ax_buf_addc(b, '\n');
			pad(b, indent);
		} else {
			write_str(b, p->key, p->key_n);
		}
		ax_buf_addc(b, ':');
		if (is_block(p->val)) {
			ax_buf_addc(b, '\n');
			pad(b, indent + 2);
		} else {
			ax_buf_addc(b, ' ');
		}
		write_node(b, p->val, indent + 2);
	}
}

static void write_node(struct ax_buf *b, const struct ax_val *v, int indent)
{
	if (!is_block(v)) {
		write_scalar(b, v);
		ax_buf_addc(b, '\n');
	} else if (v->type == AX_LIST) {
		write_list(b, v, indent);
	} else {
		write_map(b, v, indent);
	}
}

void ax_yaml_write(struct ax_buf *b, const struct ax_val *v)
{
	write_node(b, v, 0);
}

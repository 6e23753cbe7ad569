#include <string.h>

#include "fmt/stream.h"

struct ax_val *ax_header_new(struct ax_arena *a, const char *kind, int id_bits)
{
	struct ax_val *h = ax_val_map(a);
	bool ok = h && ax_val_set(a, h, "kind", ax_val_str(a, kind, strlen(kind))) &&
		  ax_val_set(a, h, "version", ax_val_int(a, AX_FORMAT_VERSION)) &&
		  ax_val_set(a, h, "id_bits", ax_val_int(a, id_bits));

	return ok ? h : NULL;
}

struct ax_val *ax_header_derive(struct ax_arena *a, const struct ax_val *from, const char *kind)
{
	struct ax_val *h = ax_val_copy(a, from);

	return h && ax_val_set(a, h, "kind", ax_val_str(a, kind, strlen(kind))) ? h : NULL;
}

/* Well-formed UTF-8? Overlong forms and surrogates pass: they do no harm in a log of arguments. */
static bool is_utf8(const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		int more = c < 0x80 ? 0 : c < 0xc2 ? -1 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf5 ? 3 : -1;

		if (more < 0)
			return false;
		for (; more > 0; more--)
			if (((unsigned char)*++s & 0xc0) != 0x80)
				return false;
	}
	return true;
}

/* An argument as a JSON string: file names need not be UTF-8, so other bytes become '?'. */
static struct ax_val *arg_val(struct ax_arena *a, const char *arg)
{
	size_t n = strlen(arg);
	char *s = ax_arena_strndup(a, arg, n);

	if (!s)
		return NULL;
	if (!is_utf8(s))
		for (size_t i = 0; i < n; i++)
			if ((unsigned char)s[i] >= 0x80)
				s[i] = '?';
	return ax_val_str(a, s, n);
}

static bool merge(struct ax_arena *a, struct ax_val *to, const struct ax_val *from)
{
	for (size_t i = 0; from && from->type == AX_MAP && i < from->n; i++)
		if (!ax_val_set(a, to, from->u.pair[i].key, ax_val_copy(a, from->u.pair[i].val)))
			return false;
	return true;
}

/* How many arguments from argv[i] on name the output or the number of threads, which decide nothing of the bytes. */
static int idle_args(char *const *argv, int argc, int i)
{
	static const char *const name[] = {"-o", "--output", "--threads"};

	for (size_t k = 0; k < sizeof(name) / sizeof(name[0]); k++) {
		size_t n = strlen(name[k]);

		if (!strcmp(argv[i], name[k]))
			return i + 1 < argc ? 2 : 1;
		if (!strncmp(argv[i], name[k], n) && (n == 2 || argv[i][n] == '='))
			return 1;
	}
	return 0;
}

bool ax_header_provenance(struct ax_arena *a, struct ax_val *header, bool keep, const char *tool, int argc,
			  char *const *argv, const struct ax_val *extra)
{
	const struct ax_val *old = ax_val_get(header, "provenance");
	struct ax_val *chain, *entry = ax_val_map(a), *args = ax_val_list(a);
	bool ok;

	if (!keep) {
		ax_val_remove(header, "provenance");
		return true;
	}
	chain = old && old->type == AX_LIST ? ax_val_copy(a, old) : ax_val_list(a);
	if (!chain || !entry || !args)
		return false;
	for (int i = 1; i < argc;) {
		int idle = idle_args(argv, argc, i);
		struct ax_val *v = idle ? NULL : arg_val(a, argv[i]);

		if (!idle && (!v || !ax_val_push(a, args, v)))
			return false;
		i += idle ? idle : 1;
	}
	ok = ax_val_set(a, entry, "tool", ax_val_str(a, tool, strlen(tool)));
	ok = ok && ax_val_set(a, entry, "version", ax_val_str(a, AX_VERSION, strlen(AX_VERSION)));
	ok = ok && ax_val_set(a, entry, "args", args) && merge(a, entry, extra);
	return ok && ax_val_push(a, chain, entry) && ax_val_set(a, header, "provenance", chain);
}

const char *ax_header_kind(const struct ax_val *header)
{
	static const char *const known[] = {"tokens", "packs", "shard", "shards"};
	const struct ax_val *v = ax_val_get(header, "kind");

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (ax_val_is(v, known[i]))
			return known[i];
	return "";
}

int ax_header_id_bits(const struct ax_val *header)
{
	return (int)ax_val_int_or(ax_val_get(header, "id_bits"), 0);
}

uint32_t ax_header_sequence_len(const struct ax_val *header)
{
	int64_t n = ax_val_int_or(ax_val_get(header, "sequence_len"), 0);

	return n > 0 && n <= UINT32_MAX ? (uint32_t)n : 0;
}

void ax_header_fingerprint(const struct ax_val *header, char out[33])
{
	const struct ax_val *v = ax_val_path(header, "tokenizer.fingerprint");

	out[0] = '\0';
	if (!v || v->type != AX_STR || v->n != 32 || strspn(v->u.s, "0123456789abcdef") != 32)
		return;
	memcpy(out, v->u.s, 32);
	out[32] = '\0';
}

static bool is_type(const struct ax_val *map, const char *key, enum ax_val_type type)
{
	const struct ax_val *v = ax_val_get(map, key);

	return ax_val_is_null(v) || v->type == type;
}

int ax_header_check(const struct ax_val *h, const char *kind, struct ax_err *e)
{
	const struct ax_val *version = ax_val_get(h, "version"), *fp = ax_val_path(h, "tokenizer.fingerprint");
	const char *k = ax_header_kind(h);
	int64_t seq = ax_val_int_or(ax_val_get(h, "sequence_len"), 0);
	int bits = ax_header_id_bits(h);

	if (!h || h->type != AX_MAP || !*k)
		return ax_fail(e, AX_EDATA, "header does not name a kind of stream known to this version");
	if (!version || version->type != AX_INT)
		return ax_fail(e, AX_EDATA, "header without a format version");
	if (version->u.i != AX_FORMAT_VERSION)
		return ax_fail(e, AX_EDATA, "format version %lld; this program reads version %d",
			       (long long)version->u.i, AX_FORMAT_VERSION);
	if (kind && strcmp(k, kind))
		return ax_fail(e, AX_EDATA, "a stream of kind \"%s\" where \"%s\" is needed", k, kind);
	if (bits != 16 && bits != 32)
		return ax_fail(e, AX_EDATA, "header with id_bits %d; 16 or 32 are possible", bits);
	if (!is_type(h, "sequence_len", AX_INT) || seq < 0 || seq > INT32_MAX)
		return ax_fail(e, AX_EDATA, "header with an impossible sequence_len");
	if (strcmp(k, "tokens") && (seq < 1 || seq > AX_ROW_MAX))
		return ax_fail(e, AX_EDATA, "packs with sequence_len %lld; 1 to %u are possible", (long long)seq,
			       AX_ROW_MAX);
	if (!is_type(h, "tokenizer", AX_MAP) || !is_type(h, "keys", AX_MAP) || !is_type(h, "provenance", AX_LIST))
		return ax_fail(e, AX_EDATA, "malformed header (tokenizer, keys or provenance)");
	if (!ax_val_is_null(fp) && (fp->type != AX_STR || fp->n != 32 || memchr(fp->u.s, 0, 32)))
		return ax_fail(e, AX_EDATA, "malformed header (tokenizer fingerprint)");
	return 0;
}

int ax_header_same(const struct ax_val *a, const struct ax_val *b, struct ax_err *e)
{
	char fa[33], fb[33];

	ax_header_fingerprint(a, fa);
	ax_header_fingerprint(b, fb);
	if (strcmp(fa, fb))
		return ax_fail(e, AX_EDATA, "streams of different tokenizers cannot be joined (fingerprints %s and %s)",
			       *fa ? fa : "none", *fb ? fb : "none");
	if (strcmp(ax_header_kind(a), ax_header_kind(b)))
		return ax_fail(e, AX_EDATA, "streams of kinds \"%s\" and \"%s\" cannot be joined", ax_header_kind(a),
			       ax_header_kind(b));
	if (strcmp(ax_header_kind(a), "tokens") && ax_header_sequence_len(a) != ax_header_sequence_len(b))
		return ax_fail(e, AX_EDATA, "packs of sequence_len %u and %u cannot be joined",
			       ax_header_sequence_len(a), ax_header_sequence_len(b));
	return 0;
}

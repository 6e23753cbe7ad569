/* What the data went through, a line a tool and a line an input. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "text/json.h"
#include "view.h"

#define SHOWN 8 /* inputs of a tool */

static void print_json(const struct ax_val *v)
{
	struct ax_buf b = AX_BUF_INIT;

	ax_json_write(&b, v, 0);
	printf("%s", b.p ? b.p : "");
	ax_buf_release(&b);
}

/* A hash, plain if it is one. */
static void print_hash(const struct ax_val *v)
{
	if (v && v->type == AX_STR && v->n && strspn(v->u.s, "0123456789abcdef") >= v->n)
		printf("%.*s", (int)v->n, v->u.s);
	else
		print_json(v);
}

static void print_count(const struct ax_val *v, const char *key, const char *what)
{
	const struct ax_val *n = ax_val_get(v, key);

	if (n && n->type == AX_INT)
		printf("%" PRId64 " %s, ", n->u.i, what);
}

/* A stream that was read; or a number of them, or of files, that were too many to list. */
static void print_stream(const struct ax_val *v)
{
	print_count(v, "streams", "more streams");
	print_count(v, "entries", "entries");
	print_count(v, "rows", "rows");
	print_count(v, "tokens", "tokens");
	if (ax_val_get(v, "sum")) {
		printf("checksum ");
		print_hash(ax_val_get(v, "sum"));
		printf(", ");
	}
	printf("xxh3 ");
	print_hash(ax_val_get(v, "xxh3"));
	printf("\n");
}

/* Names come from a file: escaped, so that they do nothing to a terminal. */
static void print_key(const char *key)
{
	struct ax_buf b = AX_BUF_INIT;

	ax_json_write_str(&b, key, strlen(key), 0);
	printf("%s", b.p ? b.p : "");
	ax_buf_release(&b);
}

static void print_inputs(const struct ax_val *v)
{
	size_t n = ax_val_len(v);

	if (v && v->type == AX_MAP && ax_val_get(v, "xxh3") && ax_val_get(v, "entries")) {
		printf("  read:       ");
		print_stream(v);
		return;
	}
	for (size_t i = 0; i < n && i < SHOWN; i++) {
		printf("  read:       ");
		if (v->type == AX_LIST) {
			print_stream(ax_val_at(v, i));
			continue;
		}
		print_key(v->u.pair[i].key);
		printf(", hash ");
		print_hash(v->u.pair[i].val);
		printf("\n");
	}
	if (n > SHOWN)
		printf("  read:       ... and %zu more (--json)\n", n - SHOWN);
}

void view_provenance(const struct ax_val *list)
{
	for (size_t i = 0; i < ax_val_len(list); i++) {
		const struct ax_val *p = ax_val_at(list, i), *args = ax_val_get(p, "args");

		printf("made by:      ");
		print_json(ax_val_get(p, "tool"));
		for (size_t k = 0; k < ax_val_len(args); k++) {
			printf(" ");
			print_json(ax_val_at(args, k));
		}
		printf("\n");
		print_inputs(ax_val_get(p, "input"));
	}
}

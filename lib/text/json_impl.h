/* Inside of the JSON reader: json.c values, json_str.c strings, json_scan.c many bytes at a time, json_num.c numbers. */
#ifndef AX_TEXT_JSON_IMPL_H
#define AX_TEXT_JSON_IMPL_H

#include "text/val.h"

/*
 * Two loops over the inside of strings. They look at [p, end) alone and stop at the first '"', control or (with `high`) byte
 * from 0x80 up, or at end.
 */
struct ax_json_scan {
	/* Also stops at a backslash. Returns where. */
	const char *(*plain)(const char *p, const char *end, bool high);
	/*
	 * Copies to *o, which has room for end - *p bytes and AX_JSON_SLACK, of which all may be written; two-character escapes
	 * are decoded. Stops also at all other backslashes. *p and *o move behind what was taken.
	 */
	void (*copy)(const char **p, const char *end, char **o, bool high);
};

#define AX_JSON_SLACK ((size_t)64)

enum ax_json_isa { AX_JSON_SCALAR, AX_JSON_BASE, AX_JSON_AVX2, AX_JSON_AVX512, AX_JSON_VBMI2, AX_JSON_BEST };

/* For this processor, not above `most`; all do the same. */
const struct ax_json_scan *ax_json_scan_of(enum ax_json_isa most);

#define AX_JSON_FIXED ((size_t)64)
#define AX_JSON_KEYS  ((size_t)16)

/* Elements of all open containers, innermost last; the first AX_JSON_FIXED cost no allocation. */
struct ax_json_stack {
	struct ax_pair *p;
	size_t n, cap;
	struct ax_pair fixed[AX_JSON_FIXED];
};

/* Is the rest of the text UTF-8? Found out at the first byte beyond ASCII in a string. */
enum ax_json_utf8 { AX_JSON_UNKNOWN, AX_JSON_VALID, AX_JSON_INVALID };

struct ax_json_reader {
	struct ax_arena *a;
	const char *begin, *p, *end;
	const char *line_begin;
	uint32_t line;
	int depth;
	enum ax_json_utf8 utf8;
	const struct ax_json_scan *scan;
	struct ax_val *spare;
	size_t n_spare;
	struct { /* keys that were seen lately: objects side by side share them */
		const char *s;
		size_t n;
	} key[AX_JSON_KEYS];
	struct ax_json_stack st;
	struct ax_err *e;
};

int ax_json_fail(struct ax_json_reader *r, const char *at, const char *what);
int ax_json_no_memory(struct ax_json_reader *r);

/*
 * A string; r->p is on its opening quote. Without escapes *s points into the input, else to a decoded copy. With
 * `key` it is always NUL-terminated and not in the input.
 */
int ax_json_str(struct ax_json_reader *r, bool key, const char **s, size_t *n);

/*
 * The number at *p (p < end), which moves behind it, into v->type and v->u. AX_EDATA: there is no number; AX_EMEM. Integers
 * beyond 64 bits keep their digits (ax_val's `number`), which point into the text.
 */
int ax_json_number(const char **p, const char *end, struct ax_val *v);

#endif

/*
 * Chat templates: Jinja as transformers runs it (jinja2 3.1 ImmutableSandboxedEnvironment, trim_blocks, lstrip_blocks,
 * loopcontrols, {% generation %}, tojson, raise_exception, strftime_now), with the values of Python: what prints, compares,
 * sorts or raises there does the same here.
 *
 *	struct ax_jinja *t;
 *	struct ax_rope r;
 *	AX_TRY(ax_jinja_compile(&t, src, n, 0, e));        // once a template; then read-only, any number of threads
 *	ax_rope_init(&r);
 *	for each row:
 *		rc = ax_jinja_render(t, context, &opt, &r, e); // r.b.p[0 .. r.b.n) is the text, r.span says where it is from
 *	ax_rope_release(&r);
 *	ax_jinja_free(t);
 *
 * Provenance: the spans of a rope lie end to end over its text. A span knows the context value that its bytes came from, or
 * that the template itself wrote them. Cutting (slices, strip, split, replace, loops over characters), joining (+, ~, join,
 * format) and carrying (set blocks, macros, filters that change nothing) keep the exact bytes' origin: then
 * origin->u.s + off holds the same bytes as the span. What computes new text from a value (upper, tojson, str of a list or
 * number, escape, ...) gives a span that is AX_SPAN_TRANSFORMED: origin is the value, off is 0, the bytes differ.
 * Text that was put together inside the template from several values before it was transformed names the first of them.
 *
 * Not as in jinja2, by decision. Errors that say so: random and lipsum (a template gives the same text each time), str.encode,
 * translate and maketrans, int.to_bytes and from_bytes, float.fromhex, \N{...} in strings, autoescape true, `self`, complex
 * numbers, sets (what - & | ^ of dict views give), integers beyond a million bits. Silently otherwise: addresses in the text of objects;
 * what jinja2's folding of constants does (a slice of a constant number, method or dict is undefined, an infinity a NameError, a negative
 * constant below ** binds otherwise); a name of the context that a block uses before the same level sets it is undefined there; varargs in
 * {% generation %} are its own; keys that Python cannot order (pprint) stay in their order.
 * isalpha and its kin know Unicode 14 (Python 3.11).
 *
 * A template has no access to files, environment, network or clock (strftime_now sees opt.now), and is bounded: depth of
 * nesting, macro calls, steps, bytes of output and of memory.
 */
#ifndef AX_TEXT_JINJA_H
#define AX_TEXT_JINJA_H

#include <time.h>

#include "text/val.h"

#define AX_JINJA_DEPTH 200
#define AX_JINJA_CALLS 100
#define AX_JINJA_STEPS ((uint64_t)10000000)
#define AX_JINJA_OUTPUT ((size_t)64 << 20)
#define AX_JINJA_MEMORY ((size_t)512 << 20)

struct ax_jinja;

enum ax_jinja_flags {
	/* Departures from transformers' settings, for other users of Jinja and for conformance tests. */
	AX_JINJA_KEEP_BLOCKS = 1 << 0,  /* trim_blocks off */
	AX_JINJA_KEEP_INDENT = 1 << 1,  /* lstrip_blocks off */
	AX_JINJA_KEEP_NEWLINE = 1 << 2, /* keep_trailing_newline on */
	AX_JINJA_MUTABLE = 1 << 3       /* lists and dicts may be changed: append, pop, update, ... */
};

/* Compile n bytes of UTF-8. AX_EDATA "line L, column C: TemplateSyntaxError: what". The source is copied. */
int ax_jinja_compile(struct ax_jinja **t, const char *src, size_t n, unsigned flags, struct ax_err *e);
void ax_jinja_free(struct ax_jinja *t);

struct ax_jinja_opt {
	const struct tm *now; /* for strftime_now; NULL: the local time of the call */
};

enum ax_span_flags {
	AX_SPAN_TRANSFORMED = 1 << 0, /* made from origin, not a copy of its bytes */
	AX_SPAN_GENERATION = 1 << 1   /* written inside {% generation %} */
};

struct ax_span {
	size_t begin, end;           /* bytes of the output; never empty */
	const struct ax_val *origin; /* value of the context (the caller's own), NULL: text of the template */
	size_t off;                  /* of `begin` in origin->u.s */
	unsigned flags;
};

struct ax_rope {
	struct ax_buf b; /* the text, valid UTF-8 */
	struct ax_span *span;
	size_t n_span, cap_span;
	uint32_t line, column; /* of the template, where a failed render stopped; line 0: nowhere in it */
	struct ax_arena mem; /* values of the render, kept for the next one */
};

void ax_rope_init(struct ax_rope *r);
void ax_rope_release(struct ax_rope *r);

/*
 * Render with the map `context` as the template's variables; replaces what r held. Spans point into `context`.
 * AX_EDATA with the exception as Python names it ("TypeError: ...", "UndefinedError: ...", "TemplateError: <what
 * raise_exception was given>"; r->line and r->column are where); AX_EMEM when a limit was reached. r is empty then.
 */
int ax_jinja_render(const struct ax_jinja *t, const struct ax_val *context, const struct ax_jinja_opt *opt,
		    struct ax_rope *r, struct ax_err *e);

/* Would Python's repr print this character as it is? All others are escaped. */
bool ax_jinja_printable(uint32_t c);

/* Parse "YYYY-MM-DD" or "YYYY-MM-DDTHH:MM:SS" (or with a blank for T) for opt.now; weekday and day of year are filled. */
int ax_jinja_now(struct tm *tm, const char *text, struct ax_err *e);

#endif

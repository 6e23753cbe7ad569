/*
 * YAML 1.1 as PyYAML's safe_load reads it, into struct ax_val.
 *
 * Plain scalars: yes/no/on/off/true/false are booleans; 500_000, 0x1f, 0b1, 017 and 1:30 (base 60) are integers;
 * a float needs a point and a signed exponent (2.0e-5; 2e-5 is a string, as is 1.0e5), or is .inf or .nan; ~, null and
 * nothing are null. What differs from PyYAML, on purpose: timestamps stay strings; map keys stay the text that was
 * written (`on:` is "on", not True); integers beyond 64 bits become floats. Anchors, aliases and `<<` work as there; a repeated
 * key keeps its last value (ax_yaml_file warns, with both lines). Tags other than the core ones are refused.
 *
 * Limits: AX_YAML_BYTES of text, AX_YAML_DEPTH levels and AX_YAML_NODES values, both counted with every alias written
 * out, so that walking the tree is bounded. An alias shares its value: the tree is immutable, as all of struct ax_val.
 */
#ifndef AX_TEXT_YAML_H
#define AX_TEXT_YAML_H

#include "text/val.h"

#define AX_YAML_BYTES ((size_t)16 << 20)
#define AX_YAML_DEPTH 100
#define AX_YAML_NODES ((size_t)1000000)

/* Parse one document; an empty one is null. AX_EDATA "line L, column C: what". All text is copied into the arena. */
int ax_yaml_parse(struct ax_arena *a, const char *p, size_t n, struct ax_val **v, struct ax_err *e);

/* Read and parse a file ("-" is stdin). Errors start with "PATH:LINE:". */
int ax_yaml_file(struct ax_arena *a, const char *path, struct ax_val **v, struct ax_err *e);

/*
 * A value from the command line: text that starts with one of [ { " ' ! | > is parsed as YAML, all other text is one
 * plain scalar whatever it contains ("a: b", "x # y", "*"). AX_EUSAGE with what is wrong.
 */
int ax_yaml_scalar(struct ax_arena *a, const char *text, struct ax_val **v, struct ax_err *e);

/* What a plain scalar with this text means. NULL: out of memory. */
struct ax_val *ax_yaml_plain(struct ax_arena *a, const char *s, size_t n);

/* Append block-style YAML, ending in a newline, that both PyYAML and ax_yaml_parse read back as an equal value. */
void ax_yaml_write(struct ax_buf *b, const struct ax_val *v);

/*
 * Append what PyYAML's yaml.dump(v, default_flow_style=False) writes: keys sorted, lines folded at 80 columns, non-ASCII
 * escaped. False: out of memory, or deeper than AX_YAML_DEPTH.
 */
bool ax_yaml_dump(struct ax_buf *b, const struct ax_val *v);

#endif

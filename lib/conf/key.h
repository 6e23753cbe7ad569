/*
 * The key table: every Axolotl key that ax knows, one row each.
 *
 * A name is Axolotl's; "fsdp_config.offload_params" lies in a mapping, "datasets[].path" in each entry of a list. An
 * old or second spelling is an alias: reading a configuration replaces it by the row's name, so that all later code
 * sees one spelling. Rows are written in keys_*.c, by subject.
 *
 * Values are coerced to the row's type the way pydantic's lax mode does it ("2e-5" is a number, 4.0 an integer, "yes" a
 * boolean), because that is what Axolotl files rely on.
 */
#ifndef AX_CONF_KEY_H
#define AX_CONF_KEY_H

#include "base/err.h"
#include "conf/conf.h"
#include "text/val.h"

/* What a value may be; a key can allow several. */
enum ax_key_type {
	AX_KEY_BOOL = 1 << 0,
	AX_KEY_INT = 1 << 1,
	AX_KEY_NUM = 1 << 2,
	AX_KEY_STR = 1 << 3,
	AX_KEY_STRS = 1 << 4, /* list of strings */
	AX_KEY_LIST = 1 << 5, /* list of anything */
	AX_KEY_MAP = 1 << 6,
};

enum ax_key_status {
	AX_KEY_HONOURED, /* does what Axolotl documents, or better */
	AX_KEY_SAME,	 /* the result is the same whatever its value: accepted silently */
	AX_KEY_EXACT,	 /* ax does something more exact instead: one note */
	AX_KEY_SIDE,	 /* asks for a side effect that ax does not have (trackers, uploads): one warning */
	AX_KEY_REFUSED,	 /* would change the result and is not supported: an error with the reason */
};

struct ax_key {
	const char *name;
	const char *alias; /* other spellings, separated by blanks; NULL: none */
	unsigned type;	   /* set of enum ax_key_type */
	const char *dflt;  /* as YAML; NULL: unset */
	const char *limit; /* choices "a|b|c", or a range "[0,1]", "(0,", "[1,"; NULL: none */
	unsigned tools;	   /* set of enum ax_tool that read it */
	unsigned required; /* set of enum ax_tool that cannot work without it */
	enum ax_key_status status;
	const char *help;   /* one line, no full stop */
	const char *reason; /* why refused, or what happens instead; NULL for honoured and same */
};

/* One table of a subject, ended by a row without a name. */
struct ax_key_group {
	const char *title;
	const struct ax_key *row;
	bool old; /* keys of the past: understood, not offered */
};

extern const struct ax_key_group ax_key_groups[];

/*
 * The row of a name (n bytes), by its own name or an alias, NULL if there is none. Both "datasets[].path" and, for
 * test_datasets and pretraining_dataset, "test_datasets[].path" find the row of datasets.
 */
const struct ax_key *ax_key_find(const char *name, size_t n);
/* The row whose name is nearest to a misspelt one, or NULL if nothing is near. */
const struct ax_key *ax_key_nearest(const char *name);
/* Does a mapping key have rows for what lies in it? If not, its content is free. */
bool ax_key_has_members(const struct ax_key *k);

/* Edit distance (insert, delete, replace, swap of neighbours) of two short strings; at most `max` + 1. */
size_t ax_edit_distance(const char *x, const char *y, size_t max);

/*
 * Coerce v to the row's type and check its range or choices. *out is v itself or a new value in the arena. `what` names
 * the key in messages ("--micro-batch-size", "run.yaml:12: micro_batch_size"). AX_EUSAGE with what was expected; always for
 * a number that is not finite, and for a string with a NUL in it.
 */
int ax_key_coerce(struct ax_arena *a, const struct ax_key *k, const struct ax_val *v, const char *what,
		  struct ax_val **out, struct ax_err *e);

/* Is the text one of the row's choices? */
bool ax_key_is_choice(const struct ax_key *k, const char *text);
/* "integer, at least 1", "true, false or auto": for messages, help and man page. */
void ax_key_expects(const struct ax_key *k, struct ax_buf *b);
const char *ax_key_status_name(enum ax_key_status s);

/* The row's default as a value, NULL if it has none. */
struct ax_val *ax_key_default(struct ax_arena *a, const struct ax_key *k);

#endif

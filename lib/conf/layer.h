/*
 * One source of settings (a file, the command line, a stream's header) as a mapping of canonical keys, and the merge of
 * such layers. Nested keys are nested mappings; a list that a layer changes element by element is a mapping whose keys
 * are the indexes ("datasets.0.path"), until it is merged.
 */
#ifndef AX_CONF_LAYER_H
#define AX_CONF_LAYER_H

#include "conf/key.h"

struct ax_layer_opts {
	const char *source; /* file name for messages; NULL: the command line */
	bool strict;	    /* an unknown key is an error, not a warning */
	bool quiet;	    /* no warnings: a stream's header was warned about when it was made */
};

/*
 * Read `in` (a mapping as written by a user): aliases and old names replaced, values coerced, unknown keys dropped with
 * a warning. *out is a new mapping in the arena; null stays null, for a later layer to unset an earlier one's key.
 */
int ax_layer_read(struct ax_arena *a, const struct ax_val *in, const struct ax_layer_opts *o, struct ax_val **out,
		  struct ax_err *e);

/* Set the value at a dotted path below `map`, making mappings on the way. False when out of memory. */
bool ax_layer_put(struct ax_arena *a, struct ax_val *map, const char *path, struct ax_val *v);

/*
 * `over` on top of `base` (either may be NULL), as a new value. Mappings merge, everything else is replaced; a null of
 * `over` removes the key, and a mapping of indexes changes a list's elements. `keep`: both of these stay as they are,
 * for collecting a layer from several pieces. Indexes just beyond the list's end add elements; a gap ends the merge there.
 */
struct ax_val *ax_layer_merge(struct ax_arena *a, const struct ax_val *base, const struct ax_val *over, bool keep);

/* AX_EUSAGE if an index of `over` leaves a gap after the end of base's list. `name`: of both, "" for the whole. */
int ax_layer_check_patches(const struct ax_val *base, const struct ax_val *over, const char *name, struct ax_err *e);

/* Is v a mapping whose keys are all decimal indexes? */
bool ax_layer_is_patch(const struct ax_val *v);

#endif

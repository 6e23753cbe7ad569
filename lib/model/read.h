/*
 * Typed, checked reads of a config map, with one sticky result: read everything, look at rc once.
 *
 *	struct ax_read r = { map, "", 0, e };
 *	n = ax_read_int(&r, "num_hidden_layers", 0, 1, 512);     // default 0 is out of range: the key is required
 *	if (r.rc) return r.rc;
 *
 * null counts as absent. After the first failure reads return the default and leave the message alone.
 */
#ifndef AX_MODEL_READ_H
#define AX_MODEL_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "text/val.h"

struct ax_read {
	const struct ax_val *map;
	const char *where; /* put before the key in messages: "rope_scaling." */
	int rc;
	struct ax_err *e;
};

/* The value of a key, NULL if absent or null. */
const struct ax_val *ax_read_get(const struct ax_read *r, const char *key);
/* An integer (or a float without a fraction) in [lo, hi]. An absent key gives dflt; a default outside means "required". */
int64_t ax_read_int(struct ax_read *r, const char *key, int64_t dflt, int64_t lo, int64_t hi);
/* A finite number in [lo, hi]; likewise. */
double ax_read_num(struct ax_read *r, const char *key, double dflt, double lo, double hi);
bool ax_read_bool(struct ax_read *r, const char *key, bool dflt);
/* Set rc: "KEY VALUE: why" with the value as JSON (cut when long). code AX_EDATA or AX_EUSAGE. */
void ax_read_fail(struct ax_read *r, int code, const char *key, const char *why);

#endif

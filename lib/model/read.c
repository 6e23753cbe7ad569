#include "model/read.h"

#include <math.h>
#include <stdio.h>

#include "text/json.h"

const struct ax_val *ax_read_get(const struct ax_read *r, const char *key)
{
	const struct ax_val *v = ax_val_get(r->map, key);

	return ax_val_is_null(v) ? NULL : v;
}

void ax_read_fail(struct ax_read *r, int code, const char *key, const char *why)
{
	const struct ax_val *v = ax_val_get(r->map, key);
	struct ax_buf b = AX_BUF_INIT;

	if (r->rc)
		return;
	if (v)
		ax_json_write(&b, v, AX_JSON_ASCII | AX_JSON_SPACED);
	else
		ax_buf_adds(&b, "is missing");
	r->rc = ax_fail(r->e, code, "%s%s %.80s%s: %s", r->where, key, b.oom || !b.p ? "" : b.p, b.n > 80 ? "..." : "", why);
	ax_buf_release(&b);
}

int64_t ax_read_int(struct ax_read *r, const char *key, int64_t dflt, int64_t lo, int64_t hi)
{
	const struct ax_val *v = ax_read_get(r, key);
	int64_t i = dflt;
	char why[96];

	if (r->rc)
		return dflt;
	if (v && v->type == AX_INT) {
		i = v->u.i;
	} else if (v && v->type == AX_FLOAT && fabs(v->u.f) < 0x1p53 && floor(v->u.f) == v->u.f) {
		i = (int64_t)v->u.f;
	} else if (v) {
		ax_read_fail(r, AX_EDATA, key, "an integer is needed");
		return dflt;
	}
	if (i < lo || i > hi) {
		snprintf(why, sizeof(why), "an integer from %lld to %lld is needed", (long long)lo, (long long)hi);
		ax_read_fail(r, AX_EDATA, key, why);
		return dflt;
	}
	return i;
}

double ax_read_num(struct ax_read *r, const char *key, double dflt, double lo, double hi)
{
	const struct ax_val *v = ax_read_get(r, key);
	double f = dflt;
	char why[96];

	if (r->rc)
		return dflt;
	if (v && v->type != AX_INT && v->type != AX_FLOAT) {
		ax_read_fail(r, AX_EDATA, key, "a number is needed");
		return dflt;
	}
	f = ax_val_num_or(v, dflt);
	if (!(f >= lo && f <= hi)) {
		snprintf(why, sizeof(why), "a number from %g to %g is needed", lo, hi);
		ax_read_fail(r, AX_EDATA, key, why);
		return dflt;
	}
	return f;
}

bool ax_read_bool(struct ax_read *r, const char *key, bool dflt)
{
	const struct ax_val *v = ax_read_get(r, key);

	if (v && v->type != AX_BOOL)
		ax_read_fail(r, AX_EDATA, key, "true or false is needed");
	return ax_val_bool_or(v, dflt);
}

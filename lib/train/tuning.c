/*
 * What the device chose by measuring (ax_dev.tuning): rank 0 measures, all follow at the end of the same step, so that all
 * compute alike; it goes into checkpoints, so that a resumed run computes as the first did.
 */
#include <string.h>

#include "base/mem.h"
#include "train/train_impl.h"

bool ax_train_tuning_news(const struct ax_train *t)
{
	struct ax_dev *d = t->env.dev;
	size_t n = t->env.comm->rank == 0 && d->tuning ? d->tuning(d, NULL, 0) : 0;
	bool news = n != t->tuning_bytes;
	char *text;

	if (news || !n)
		return n > 0;
	text = ax_malloc(n);
	news = text && d->tuning(d, text, n) == n && memcmp(text, t->tuning, n) != 0;
	ax_free(text);
	return news;
}

int ax_train_tuning_share(struct ax_train *t, struct ax_err *e)
{
	struct ax_comm *c = t->env.comm;
	struct ax_dev *d = t->env.dev;
	uint64_t n = c->rank == 0 ? d->tuning(d, NULL, 0) : 0;
	char *text;

	c->what = "share the choice of algorithms";
	AX_TRY(ax_comm_share(c, &n, sizeof(n), 0, e));
	text = ax_malloc(n + 1);
	if (!text)
		return ax_fail(e, AX_EMEM, "out of memory");
	ax_free(t->tuning);
	t->tuning = text;
	t->tuning_bytes = n;
	if (c->rank == 0)
		d->tuning(d, text, n);
	text[n] = '\0';
	AX_TRY(ax_comm_share(c, text, n, 0, e));
	return d->tune && n ? d->tune(d, text, n, e) : 0;
}

int ax_train_tuning_adopt(struct ax_train *t, const struct ax_val *text, struct ax_err *e)
{
	struct ax_dev *d = t->env.dev;

	if (!text || !d->tune)
		return 0;
	if (text->type != AX_STR)
		return ax_fail(e, AX_EDATA, "device_tuning is not a string");
	return d->tune(d, text->u.s, text->n, e);
}

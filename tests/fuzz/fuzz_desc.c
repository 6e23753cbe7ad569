/* config.json -> description -> units and rotary table, from any bytes. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/model.h"
#include "text/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void use(const struct ax_desc *d)
{
	struct ax_model_opt o = { .n_token = 64, .max_seg = 4, .train = true };
	struct ax_model_sizes s;
	struct ax_units u;
	float *table = ax_malloc((size_t)d->head_dim * 8 * sizeof(float));

	if (table && ax_rope_table(d, table, 8, NULL))
		abort();
	ax_free(table);
	ax_model_sizes(d, AX_BF16, &o, &s, NULL);
	if (ax_model_units(d, &u, NULL))
		return;
	for (int i = 0; i < u.n_param; i++)
		if (u.param[i].off % AX_UNIT_ALIGN || u.param[i].off + u.param[i].n_elem > u.unit[u.param[i].unit].n_elem)
			abort();
	ax_units_release(&u);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct ax_arena a;
	struct ax_val *v;
	struct ax_desc d;
	struct ax_err e = { 0 };

	ax_arena_init(&a, (size_t)16 << 20);
	if (!ax_json_parse(&a, (const char *)p, n, &v, &e)) {
		if (!ax_desc_parse(&d, v, &e))
			use(&d);
		else if (!e.msg[0])
			abort();
	}
	ax_arena_release(&a);
	return 0;
}

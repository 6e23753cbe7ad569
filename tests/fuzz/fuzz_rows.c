/*
 * Input: a byte that chooses the kind, then a row as JSON. Whatever the row holds, it is refused or gives rows that can
 * be stored, and both masks see the same ids.
 */
#include <stdlib.h>
#include <string.h>

#include "text/json.h"
#include "tok/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const char *const entry[] = {
    "{\"type\":\"completion\"}",
    "{\"type\":\"input_output\"}",
    "{\"type\":\"alpaca\"}",
    "{\"type\":\"reflection:chat\"}",
    "{\"type\":\"explainchoice\"}",
    "{\"type\":{\"format\":\"{instruction!r:^9} {input:.3}\"}}",
    "{\"type\":\"chat_template\",\"split_thinking\":true,\"train_on_eos\":\"all\"}",
    "{\"type\":\"chat_template\",\"message_field_training\":\"t\",\"message_field_training_detail\":\"td\",\"train_on_"
    "eos\":\"last\"}",
    "{\"type\":\"chat_template\",\"chat_template\":\"mistral_v2v3\",\"roles_to_train\":[\"user\",\"assistant\"]}",
    "{}",
};

#define N_ENTRY (sizeof(entry) / sizeof(entry[0]))

static struct ax_effective *eff;
static struct ax_rows *rows[N_ENTRY][2];
static struct ax_rows_work *work[N_ENTRY][2];

static void setup(void)
{
	static struct ax_arena a;
	struct ax_tok_spec spec = {.model_dir = "tests/golden/rows/model"};
	struct ax_rows_opt o = {.sequence_len = 64};

	ax_arena_init(&a, 0);
	if (ax_effective_open(&eff, &spec, NULL))
		abort();
	o.eff = eff;
	for (size_t i = 0; i < N_ENTRY; i++)
		for (int mode = 0; mode < 2; mode++) {
			struct ax_val *v;

			o.mask = mode ? AX_MASK_AXOLOTL : AX_MASK_EXACT;
			if (ax_json_parse(&a, entry[i], strlen(entry[i]), &v, NULL) ||
			    ax_rows_new(&rows[i][mode], v, &o, NULL) ||
			    ax_rows_work_new(&work[i][mode], rows[i][mode], NULL))
				abort();
		}
}

static void check(const struct ax_made *m)
{
	for (size_t i = 0; i < m->n_row; i++) {
		struct ax_row r;

		ax_made_get(m, i, &r);
		if (r.n && ax_row_check(&r, 16, NULL))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static bool ready;
	struct ax_made made[2] = {{0}, {0}};
	struct ax_arena a;
	struct ax_val *v;
	int rc[2] = {0, 0};

	if (n == 0)
		return 0;
	if (!ready)
		setup();
	ready = true;
	ax_arena_init(&a, 0);
	if (!ax_json_parse(&a, (const char *)p + 1, n - 1, &v, NULL)) {
		for (int mode = 0; mode < 2; mode++) {
			size_t k = p[0] % N_ENTRY;

			rc[mode] = ax_rows_make(rows[k][mode], v, &made[mode], work[k][mode], NULL);
			check(&made[mode]);
		}
		/* the other way renders prefixes too, which a template may refuse */
		if (!rc[0] && !rc[1] &&
		    (made[0].n != made[1].n || (made[0].n && memcmp(made[0].id, made[1].id, made[0].n * 4))))
			abort();
	}
	ax_made_release(&made[0]);
	ax_made_release(&made[1]);
	ax_arena_release(&a);
	return 0;
}

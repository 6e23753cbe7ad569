/*
 * Input: a byte that chooses the kind, then a row as JSON. Whatever the row holds, it is refused or gives rows that can
 * be stored, both masks see the same ids and differ where the differ says, and no_inject gives the same unless it says that it held text back.
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
    "{\"type\":\"pygmalion\"}",
    "{\"type\":\"llama2_chat\"}",
    "{\"type\":\"creative_acr.load_critique\"}",
    "{\"type\":\"chat_template\",\"chat_template\":\"gemma4\"}",
    "{\"type\":\"chat_template\",\"chat_template\":\"jamba\"}",
    "{\"type\":\"chat_template\",\"chat_template\":\"command_a_tool_use\"}",
    "{\"type\":\"chat_template\",\"chat_template\":\"qwen3\"}",
};

#define N_ENTRY (sizeof(entry) / sizeof(entry[0]))
#define WAYS    4 /* mask exact or axolotl, with or without no_inject */

static struct ax_effective *eff;
static struct ax_rows *rows[N_ENTRY][WAYS];
static struct ax_rows_work *work[N_ENTRY][WAYS];

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
		for (int mode = 0; mode < WAYS; mode++) {
			struct ax_val *v;

			o.mask = mode % 2 ? AX_MASK_AXOLOTL : AX_MASK_EXACT;
			o.no_inject = mode / 2;
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

static bool held(const struct ax_made *m)
{
	for (size_t i = 0; i < m->n_row; i++)
		if (m->row[i].note & AX_MADE_HELD)
			return true;
	return false;
}

static void same(const struct ax_made *x, const struct ax_made *y, bool masks)
{
	if (x->n != y->n || (x->n && memcmp(x->id, y->id, x->n * sizeof(*x->id))))
		abort();
	if (masks && x->n && memcmp(x->mask, y->mask, x->n))
		abort();
}

/* What the differ says must be what differs. */
static void check_diff(const struct ax_val *v, size_t k, const struct ax_made *exact, const struct ax_made *axolotl)
{
	struct ax_rows_diff d = {0};
	size_t at = 0;

	if (ax_rows_diff(rows[k][0], v, &d, work[k][0], NULL))
		abort();
	for (size_t i = 0; d.chat && i < exact->n; i++) {
		const struct ax_diff *x = at < d.diffs.n ? &d.diffs.diff[at] : NULL;
		bool in = x && i >= x->begin && i < x->end;

		if (in != (exact->mask[i] != axolotl->mask[i]) || (in && (x->exact != exact->mask[i] || x->turn >= d.thread.n)))
			abort();
		at += x && i + 1 == x->end;
	}
	if (d.chat && at != d.diffs.n)
		abort();
	ax_rows_diff_release(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static bool ready;
	struct ax_made made[WAYS] = {{0}};
	struct ax_arena a;
	struct ax_val *v;
	int rc[WAYS] = {0};

	if (n == 0)
		return 0;
	if (!ready)
		setup();
	ready = true;
	ax_arena_init(&a, 0);
	if (!ax_json_parse(&a, (const char *)p + 1, n - 1, &v, NULL)) {
		for (int mode = 0; mode < WAYS; mode++) {
			size_t k = p[0] % N_ENTRY;

			rc[mode] = ax_rows_make(rows[k][mode], v, &made[mode], work[k][mode], NULL);
			check(&made[mode]);
		}
		/* the other way renders prefixes too, which a template may refuse */
		if (!rc[0] && !rc[1]) {
			same(&made[0], &made[1], false);
			check_diff(v, p[0] % N_ENTRY, &made[0], &made[1]);
		}
		for (int mode = 0; mode < 2; mode++) {
			if (rc[mode] != rc[mode + 2])
				abort();
			if (!rc[mode] && !held(&made[mode + 2]))
				same(&made[mode], &made[mode + 2], true);
		}
	}
	for (int mode = 0; mode < WAYS; mode++)
		ax_made_release(&made[mode]);
	ax_arena_release(&a);
	return 0;
}

/*
 * Masks of conversations where they are hard: characters split over tokens, calls and reasoning, templates that treat the
 * last turn specially. What is trained is put in [[ ]]. And the differences of the two masks: each reason at least once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "text/json.h"
#include "tok/rows.h"
#include "tok/show.h"

#define MODEL "tests/golden/rows/model" /* byte-level, eos <|im_end|>; its template is a chatml with reasoning and calls */

static struct ax_arena arena;
static struct ax_effective *eff;

static struct ax_val *json(const char *s)
{
	struct ax_val *v = NULL;
	struct ax_err e = {0};

	if (ax_json_parse(&arena, s, strlen(s), &v, &e))
		fail_msg("%s: %s", s, e.msg);
	return v;
}

/* An entry with a template of its own. */
static struct ax_val *entry_with(const char *tmpl, const char *keys)
{
	struct ax_val *m = json(keys);

	assert_true(ax_val_set(&arena, m, "type", ax_val_str(&arena, "chat_template", 13)));
	if (tmpl) {
		assert_true(ax_val_set(&arena, m, "chat_template", ax_val_str(&arena, "jinja", 5)));
		assert_true(ax_val_set(&arena, m, "chat_template_jinja", ax_val_str(&arena, tmpl, strlen(tmpl))));
	}
	return m;
}

static void show_mask(struct ax_buf *b, const struct ax_row *r)
{
	for (uint32_t i = 0, from = 0; i < r->n; from = i) {
		while (i < r->n && r->mask[i] == r->mask[from])
			i++;
		ax_buf_adds(b, r->mask[from] ? "[[" : "");
		ax_show_tokens(b, eff->tok, r->id + from, i - from);
		ax_buf_adds(b, r->mask[from] ? "]]" : "");
	}
}

/* E (exact alone) or A (axolotl alone), the turn from 1, the reason, the text. */
static void show_diff(struct ax_buf *b, const struct ax_rows_diff *d)
{
	for (size_t i = 0; i < d->diffs.n; i++) {
		const struct ax_diff *x = &d->diffs.diff[i];

		ax_buf_addf(b, "%s%c%u %s <", i ? "; " : "", x->exact ? 'E' : 'A', x->turn + 1, ax_diff_name(x->reason));
		ax_show_tokens(b, eff->tok, d->ids->id + x->begin, x->end - x->begin);
		ax_buf_addc(b, '>');
	}
}

/* The differences must be those of the masks that the two modes give. */
static void same_as_masks(const struct ax_rows_diff *d, const struct ax_row *exact, const struct ax_row *axolotl)
{
	size_t at = 0;

	assert_int_equal(exact->n, axolotl->n);
	for (uint32_t k = 0; k < exact->n; k++) {
		const struct ax_diff *x = at < d->diffs.n ? &d->diffs.diff[at] : NULL;
		bool in = x && k >= x->begin && k < x->end;

		assert_int_equal(in, exact->mask[k] != axolotl->mask[k]);
		assert_true(!in || x->exact == (bool)exact->mask[k]);
		at += x && k + 1 == x->end;
	}
	assert_int_equal(at, d->diffs.n);
}

static struct ax_rows_opt opt_for(enum ax_mask_mode mode, const char *model)
{
	return (struct ax_rows_opt){.eff = eff, .sequence_len = 512, .mask = mode, .model_name = model};
}

/* The row's exact mask, and why axolotl's differs; NULL: not looked at. */
static void check_all(const char *model, const struct ax_val *entry, const char *row, const char *mask, const char *diff)
{
	struct ax_made made[2] = {{0}, {0}};
	struct ax_rows_diff d = {0};
	struct ax_row r[2];
	struct ax_buf b = AX_BUF_INIT;
	struct ax_err e = {0};

	for (int mode = 0; mode < 2; mode++) {
		struct ax_rows_opt o = opt_for(mode ? AX_MASK_AXOLOTL : AX_MASK_EXACT, model);
		struct ax_rows *rows = NULL;
		struct ax_rows_work *w = NULL;

		if (ax_rows_new(&rows, entry, &o, &e) || ax_rows_work_new(&w, rows, &e) || ax_rows_make(rows, json(row), &made[mode], w, &e))
			fail_msg("%s", e.msg);
		ax_made_get(&made[mode], 0, &r[mode]);
		if (mode) {
			assert_int_equal(ax_rows_diff(rows, json(row), &d, w, &e), 0);
			assert_true(d.chat);
			show_diff(&b, &d);
		}
		ax_rows_work_free(w);
		ax_rows_free(rows);
	}
	same_as_masks(&d, &r[0], &r[1]);
	if (diff)
		assert_string_equal(b.n ? b.p : "", diff);
	ax_buf_reset(&b);
	show_mask(&b, &r[0]);
	if (mask)
		assert_string_equal(b.n ? b.p : "", mask);
	ax_rows_diff_release(&d);
	ax_made_release(&made[0]);
	ax_made_release(&made[1]);
	ax_buf_release(&b);
}

static void check(const char *tmpl, const char *keys, const char *turns, const char *mask, const char *diff)
{
	struct ax_buf row = AX_BUF_INIT;

	ax_buf_addf(&row, "{\"messages\": [%s]}", turns);
	check_all("x", entry_with(tmpl, keys), row.p, mask, diff);
	ax_buf_release(&row);
}

#define M(role, content) "{\"role\":\"" role "\",\"content\":\"" content "\"}"
#define TURN(role)	 "<|im_start|>" role "\\n"
#define END		 "<|im_end|>"

/* As Qwen3's: reasoning only behind the last user turn, an empty one for a last answer without any. */
#define LAST                                                                                                           \
	"{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"    \
	"{% endfor %}{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.index0 > ns.last and "        \
	"(loop.last or m.reasoning_content) %}<think>\n{{ m.reasoning_content or '' }}\n</think>\n\n{% endif %}{{ m.content }}"         \
	"{% for c in m.tool_calls or [] %}\n<call>{{ c.function | tojson }}</call>{% endfor %}<|im_end|>\n{% endfor %}"                 \
	"{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
#define THOUGHT(c, r)	"{\"role\":\"assistant\",\"content\":\"" c "\",\"reasoning_content\":\"" r "\"}"
#define CALL(c, name)	"{\"role\":\"assistant\",\"content\":\"" c "\",\"tool_calls\":[{\"function\":{\"name\":\"" name "\"}}]}"

/* é is two tokens, a smiley four: a character is trained as a whole or not at all, at every border. */
static void test_split_characters(void **state)
{
	const char *td = "{\"message_field_training_detail\":\"td\"}";

	check(NULL, "{}", M("user", "é🙂") "," M("assistant", "🙂é"), TURN("user") "é🙂" END "\\n" TURN("assistant") "[[🙂é" END "]]\\n", "");
	check("{% for m in messages %}🙂{{ m.content }}é{% endfor %}", "{}", M("user", "é") "," M("assistant", "🙂é"),
	      "🙂éé🙂[[🙂é]]é", NULL);
	/* the parts' border is inside what byte-level tokens share of the bytes of two characters: c3 is é's and ê's first */
	check(NULL, td, "{\"role\":\"assistant\",\"content\":\"aéêb\",\"td\":[{\"begin_offset\":1,\"end_offset\":1,\"train\":true}]}",
	      TURN("assistant") "a[[é]]êb[[" END "]]\\n", NULL);
	check(NULL, td, "{\"role\":\"assistant\",\"content\":\"🙂🙃\",\"td\":[{\"begin_offset\":1,\"end_offset\":1,\"train\":true}]}",
	      TURN("assistant") "🙂[[🙃" END "]]\\n", NULL);
	/* made anew by a filter: not the value's bytes, but its turn's all the same */
	check("{% for m in messages %}<|im_start|>{{ m.content | upper }}<|im_end|>{% endfor %}", "{}", M("user", "é") "," M("assistant", "êß"),
	      "<|im_start|>É" END "<|im_start|>[[ÊSS" END "]]", NULL);
}

static void test_calls_and_reasoning(void **state)
{
	check(NULL, "{}", CALL("x", "f") "," M("tool", "é") "," M("assistant", "ok"),
	      TURN("assistant") "[[x\\n<call>{\"name\": \"f\"}</call>" END "]]\\n" TURN("tool") "é" END "\\n" TURN("assistant") "[[ok" END "]]\\n", NULL);
	check(NULL, "{}",
	      "{\"role\":\"assistant\",\"content\":\"\",\"reasoning_content\":\"r é\",\"tool_calls\":[{\"function\":{\"name\":\"f\"}},{\"function\":{\"name\":\"g\"}}]}",
	      TURN("assistant") "[[<think>\\nr é\\n</think>\\n\\n<call>{\"name\": \"f\"}</call>\\n<call>{\"name\": \"g\"}</call>" END "]]\\n", NULL);
	/* a tool's turn is not trained, a call of an untrained turn neither */
	check(NULL, "{\"roles_to_train\":[\"tool\"]}", CALL("", "f") "," M("tool", "12"),
	      TURN("assistant") "\\n<call>{\"name\": \"f\"}</call>" END "\\n" TURN("tool") "[[12" END "]]\\n", NULL);
	check(NULL, "{\"split_thinking\":true}", M("assistant", "<think>é</think>a"), TURN("assistant") "[[<think>\\né\\n</think>\\na" END "]]\\n",
	      NULL);
}

/* Exact renders once, so what the last turn changes is seen as it is; Axolotl's labels fall on other places. */
static void test_last_turn(void **state)
{
	check(LAST, "{}", M("user", "a") "," M("assistant", "b") "," M("user", "c") "," M("assistant", "d"),
	      TURN("user") "a" END "\\n" TURN("assistant") "[[b" END "]]\\n" TURN("user") "c" END "\\n" TURN("assistant") "<think>\\n\\n</think>\\n\\n[[d" END "]]\\n",
	      "E2 last-turn <b<|im_end|>>; A2 last-turn <h>");
	check(LAST, "{}", M("user", "a") "," THOUGHT("b", "r") "," M("user", "c") "," THOUGHT("d", "s"), "<|im_start|>user\\na<|im_end|>\\n<|im_start|>assistant\\n[[b<|im_end|>]]\\n<|im_start|>user\\nc<|im_end|>\\n<|im_start|>assistant\\n[[<think>\\ns\\n</think>\\n\\nd<|im_end|>]]\\n", "E2 last-turn <b<|im_end|>>; A2 last-turn <<|im_end|>\\n<|im_start|>assistant\\n>; E4 begin <k>\\n>");
	check(LAST, "{}", M("user", "a") "," CALL("", "f") "," M("tool", "1") "," THOUGHT("d", "s"), "<|im_start|>user\\na<|im_end|>\\n<|im_start|>assistant\\n[[<call>{\"name\": \"f\"}</call><|im_end|>]]\\n<|im_start|>tool\\n1<|im_end|>\\n<|im_start|>assistant\\n[[<think>\\ns\\n</think>\\n\\nd<|im_end|>]]\\n", "E2 last-turn <<call>{\"name\": \"f\"}>; A2 last-turn <\\n<|im_start|>tool\\n1<|im_end|>\\n<|im_start|>assistant\\n>; E4 begin <hink>\\n>");
	check("{% for m in messages %}{{ m.role }}: {{ m.content }}{{ '<|im_end|>' if loop.last else ';' }}{% endfor %}", "{}",
	      M("user", "a") "," M("assistant", "b") "," M("user", "c") "," M("assistant", "d"), "user: a;assistant:[[ b]];user: c;assistant: [[d<|im_end|>]]", "");
}

static void test_reasons(void **state)
{
	check(NULL, "{}", M("assistant", "[[dummy_message]]"), NULL, "E1 placeholder <[[dummy_message]]<|im_end|>>");
	check(NULL, "{}", M("user", "a") "," M("assistant", "[[x]]"), NULL, "E2 placeholder <[[>; E2 placeholder <]]>");
	check(NULL, "{}", M("user", "a") "," THOUGHT("b", "r"), NULL, "");
	check("{% for m in messages %}{{ m.role }}\n{{ m.content }}\n<|im_end|>\n{% endfor %}", "{}", M("user", "a") "," M("assistant", "\\nb"), NULL, "E2 before-end <\\n>");
	check("{% for m in messages %}{{ m.content }} 1 2 3 4<|im_end|>{% endfor %}", "{}", M("user", "a") "," M("assistant", "b"), NULL, "E2 before-end < 1 2 3 4>; E2 window <<|im_end|>>");
	check("{% for m in messages %}{{ m.content }}{% if m.role == 'user' %}<|im_end|>{% endif %}{% endfor %}", "{}",
	      M("assistant", "b") "," M("user", "x") "," M("assistant", "c"), NULL, "A1 window <<|im_end|>>");
	check(NULL, "{\"message_field_training_detail\":\"td\"}",
	      "{\"role\":\"assistant\",\"content\":\"x model\",\"td\":[{\"begin_offset\":0,\"end_offset\":3,\"train\":true}]}", NULL, "A1 straddles < mod>");
	check(NULL, "{\"message_field_training_detail\":\"td\"}",
	      "{\"role\":\"assistant\",\"content\":\"  xyz\",\"td\":[{\"begin_offset\":2,\"end_offset\":2,\"train\":true}]}", NULL, "E1 shifted <x>; A1 shifted <z>");
	check(NULL, "{\"message_field_training\":\"t\"}", "{\"role\":\"assistant\",\"content\":\"b\",\"t\":\"false\"}", NULL, "A1 flag <b<|im_end|>>");
}

/* Of what the template itself writes, and what Axolotl does not find. */
static void test_reasons_of_templates(void **state)
{
	struct ax_val *system = entry_with(NULL, "{\"roles_to_train\":[\"system\"]}");

	/* "=[[" is a token */
	check("{% for m in messages %}<|im_start|>={{ m.content }}=<|im_end|>{% endfor %}", "{}", M("assistant", "b"), NULL, "A1 merged <=>");
	check("{% for m in messages %}<|im_start|>{% if m.name %}named {% endif %}{{ m.content }}<|im_end|>{% endfor %}", "{}",
	      "{\"role\":\"assistant\",\"content\":\"b\",\"name\":\"n\"}", NULL, "A1 template <named>");
	check("{{ messages[-1].content }}<|im_start|>{{ messages[0].content }}<|im_start|>{{ messages[-1].content }}<|im_end|>", "{}",
	      M("user", "b") "," M("assistant", "c"), NULL, "A2 template <<|im_start|>>; A2 other-turn <b>; A2 template <<|im_start|>>");
	check("{% for m in messages %}<|im_start|>{% if not loop.last %}{{ m.content }}{% endif %}<|im_end|>{% endfor %}", "{}",
	      M("assistant", "b") "," M("user", "c"), NULL, "E1 last-turn <b<|im_end|>>");
	check("{% for m in messages %}{{ m.content }}<|im_end|>\n{% endfor %}", "{}", M("user", "c") "," M("assistant", ""), NULL, "A2 not-found <<|im_end|>>");
	check(NULL, "{}",
	      "{\"role\":\"assistant\",\"content\":\"b\",\"reasoning_content\":[{\"text\":\"r\",\"train\":true},{\"text\":\"s\",\"train\":false}]}", NULL, "E1 parts-alone <b>");
	check_all("Mistral-x", system, "{\"messages\":[" M("system", "b") "]}", NULL, "E1 not-found <b<|im_end|>>");
	check_all("x", system, "{\"messages\":[" M("system", "b") "]}", NULL, "");
}

static int setup(void **state)
{
	struct ax_tok_spec spec = {.model_dir = MODEL};

	ax_arena_init(&arena, 0);
	spec.tokens = json("[\"=[[\", \"]]=\"]");
	return ax_effective_open(&eff, &spec, NULL);
}

static int teardown(void **state)
{
	ax_effective_free(eff);
	ax_arena_release(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_characters),
		cmocka_unit_test(test_calls_and_reasoning),
		cmocka_unit_test(test_last_turn),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_reasons_of_templates),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/json.h"
#include "tok/rows.h"
#include "tok/show.h"

#define MODEL                                                                                                          \
	"tests/golden/rows/model" /* bos <s> = 400, eos <|im_end|>; its template is a chatml with reasoning and calls  \
				   */

static struct ax_arena arena;
static struct ax_effective *eff;

static struct ax_val *json(const char *s)
{
	struct ax_val *v;
	struct ax_err e = {0};
	int rc = ax_json_parse(&arena, s, strlen(s), &v, &e);

	assert_string_equal(e.msg, "");
	assert_int_equal(rc, 0);
	return v;
}

/* The row's text with what is trained in [[ ]]. */
static void show(struct ax_buf *b, const struct ax_row *r)
{
	struct ax_buf run = AX_BUF_INIT;

	for (uint32_t i = 0, from = 0; i < r->n; from = i) {
		while (i < r->n && r->mask[i] == r->mask[from])
			i++;
		ax_buf_reset(&run);
		ax_show_tokens(&run, eff->tok, r->id + from, i - from);
		ax_buf_adds(b, r->mask[from] ? "[[" : "");
		if (run.n)
			ax_buf_add(b, run.p, run.n);
		ax_buf_adds(b, r->mask[from] ? "]]" : "");
	}
	ax_buf_release(&run);
}

struct setup {
	enum ax_mask_mode mask;
	uint32_t sequence_len;
	bool train_on_inputs;
	const char *eot;
};

/* Rows as text with [[what is trained]], separated by '|', notes as !N; or "!message". */
static void check_with(struct setup u, const char *entry, const char *row, const char *want)
{
	struct ax_rows_opt o = {.eff = eff,
				.sequence_len = u.sequence_len ? u.sequence_len : 512,
				.mask = u.mask,
				.train_on_inputs = u.train_on_inputs};
	struct ax_rows *r = NULL;
	struct ax_rows_work *w = NULL;
	struct ax_made made = {0};
	struct ax_buf b = AX_BUF_INIT;
	struct ax_err e = {0};
	int rc;

	o.eot_tokens = u.eot ? json(u.eot) : NULL;
	rc = ax_rows_new(&r, json(entry), &o, &e);
	if (!rc)
		rc = ax_rows_work_new(&w, r, &e);
	if (!rc)
		rc = ax_rows_make(r, json(row), &made, w, &e);
	for (size_t i = 0; !rc && i < made.n_row; i++) {
		struct ax_row out;

		ax_made_get(&made, i, &out);
		ax_buf_adds(&b, i ? "|" : "");
		show(&b, &out);
		if (made.row[i].note)
			ax_buf_addf(&b, "!%u", made.row[i].note);
	}
	if (rc)
		ax_buf_addf(&b, "!%s", e.msg);
	assert_string_equal(b.p ? b.p : "", want);
	ax_rows_work_free(w);
	ax_rows_free(r);
	ax_made_release(&made);
	ax_buf_release(&b);
}

static void check(const char *entry, const char *row, const char *want)
{
	check_with((struct setup){0}, entry, row, want);
}

#define CHAT		 "{\"type\":\"chat_template\"}"
#define M(role, content) "{\"role\":\"" role "\",\"content\":\"" content "\"}"
#define TURN(role)	 "<|im_start|>" role "\\n"
#define END		 "<|im_end|>"

static void test_texts(void **state)
{
	check("{\"type\":\"completion\"}", "{\"text\":\"Hello world\"}", "[[<s>Hello world<|im_end|>]]");
	check("{\"type\":\"completion\"}", "{\"text\":\"\"}", "");
	check("{\"type\":\"completion\"}", "{\"text\":null}", "");
	check("{\"type\":\"completion\",\"field\":\"body\"}", "{\"text\":\"x\"}", "!field \"body\" is missing");
	check("{\"type\":\"pretrain\",\"text_column\":\"body\"}", "{\"body\":\"x\"}", "[[<s>x<|im_end|>]]");
	check_with((struct setup){.sequence_len = 3}, "{\"type\":\"completion\"}", "{\"text\":\"abcdef\"}",
		   "[[<s>ab]]|[[cde]]|[[f<|im_end|>]]");
	check("{\"type\":\"input_output\"}",
	      "{\"segments\":[{\"label\":false,\"text\":\"<s>Q\"},{\"label\":true,\"text\":\"A<|im_end|>\"}]}",
	      "<s>Q[[A<|im_end|>]]");
	check("{\"type\":\"input_output\"}", "{\"segments\":[{\"text\":\"x\"}]}", "!segment 1 lacks a text or a label");
}

static void test_prompts(void **state)
{
	const char *none = "{\"type\":\"alpaca_instruct.load_no_prompt\"}",
		   *row = "{\"instruction\":\"Q\",\"output\":\"A\"}";

	check(none, row, "<s>### Instruction:\\nQ\\n\\n### Response:\\n[[A<|im_end|>]]");
	check_with((struct setup){.train_on_inputs = true}, none, row,
		   "[[<s>### Instruction:\\nQ\\n\\n### Response:\\nA<|im_end|>]]");
	check(none, "{\"instruction\":\"Q\"}", "<s>### Instruction:\\nQ\\n\\n### Response:\\n");
	check_with((struct setup){.sequence_len = 4}, "{\"type\":{}}", "{\"instruction\":\"abcdef\",\"output\":\"A\"}",
		   "<s>abc[[A<|im_end|>]]!8");
	check("{\"type\":\"metharme\"}", "{\"prompt\":\"p\",\"generation\":\"g\"}",
	      "<s>p[[g<|im_end|><|im_end|><|im_end|>]]");
	check("{\"type\":{\"format\":\"{instruction}={input}\"}}",
	      "{\"instruction\":\"a\",\"input\":\"b\",\"output\":\"<s>c\"}", "<s>a=b[[<s>c<|im_end|>]]");
}

#define F(role, text) "{\"from\":\"" role "\",\"value\":\"" text "\"}"
#define R(role, text) "{\"role\":\"" role "\",\"value\":\"" text "\"}"

static void test_turns(void **state)
{
	const char *p = "{\"type\":\"pygmalion\"}", *l = "{\"type\":\"llama2_chat\"}";

	check(p, "{\"conversations\":[" R("system", " Eve \\n<START>") "," R("human", "Hi ") "," R("bot", " Yo") "]}",
	      "<s><|system|>Persona: Eve<|user|> Hi<|model|>[[ Yo<|im_end|>]]");
	check(p, "{\"conversations\":[" R("bot", "a") "," R("narrator", "b") "]}",
	      "!turn 2: unknown role \"narrator\"; system, human and bot are known");
	check(p, "{\"conversations\":[]}", "!the conversation has no turns");
	check(p, "{}", "!field \"conversations\" is missing");
	check(l, "{\"conversations\":[" F("system", "S") "," F("human", "a") "," F("gpt", "b ") "," F("human", "c") ","
	      F("gpt", "d") "," F("human", "e") "]}",
	      "<s>[INST] <<SYS>>\\nS\\n<</SYS>>\\n\\na [/INST][[ b </s>]]<s>[INST] c [/INST][[ d </s>]]<s>");
	check(l, "{\"conversations\":[" F("human", "a") "]}", "!the conversation has no answer");
	check(l, "{\"conversations\":[" F("human", "a") "," F("human", "b") "," F("gpt", "c") "]}",
	      "!turn 2: human and gpt must take turns");
	check(l, "{\"conversations\":[" F("human", "a") "," F("bing", "b") "]}",
	      "!turn 2: unknown role \"bing\"; a leading system, human and gpt are known");
	check_with((struct setup){.sequence_len = 4}, l,
		   "{\"conversations\":[" F("system", "S") "," F("human", "a") "," F("gpt", "b") "]}", "<s>[IN!8");
}

static void test_ids(void **state)
{
	check("{}", "{\"input_ids\":[71,72],\"labels\":[-100,72]}", "h[[i]]");
	check("{}", "{\"input_ids\":[71,72,404],\"labels\":[-100,72,-100],\"attention_mask\":[1,1,0]}", "h[[i]]");
	check("{}", "{\"input_ids\":[71],\"labels\":[]}", "!field \"labels\" has 0 elements, input_ids 1");
	check("{}", "{\"input_ids\":[99999],\"labels\":[1]}", "!input_ids[0] is not an id below 408");
	check("{}", "{\"text\":\"x\"}", "!the row has no input_ids and labels, and its data set no type");
	check("{\"type\":\"nonesuch\"}", "{}",
	      "!unknown type \"nonesuch\"; known are chat_template, completion, input_output, alpaca and its "
	      "relatives, pygmalion, llama2_chat (ax-tokenize(1)), a mapping with field_* keys");
}

static void test_chat(void **state)
{
	check(CHAT,
	      "{\"messages\":[" M("user", "Hi") "," M("assistant", "[[1]]") "," M("user", "Go") "," M("assistant",
												      "Ok") "]}",
	      TURN("user") "Hi" END "\\n" TURN("assistant") "[[[[1]]" END "]]\\n" TURN("user") "Go" END "\\n" TURN(
		  "assistant") "[[Ok" END "]]\\n");
	check("{\"type\":\"chat_template\",\"roles_to_train\":[\"user\"],\"train_on_eos\":\"none\"}",
	      "{\"messages\":[" M("user", "Hi") "," M("assistant", "Yo") "]}",
	      TURN("user") "[[Hi]]" END "\\n" TURN("assistant") "Yo" END "\\n");
	check("{\"type\":\"chat_template\",\"train_on_eos\":\"all\"}",
	      "{\"messages\":[" M("user", "Hi") "," M("assistant", "Yo") "]}",
	      TURN("user") "Hi[[" END "]]\\n" TURN("assistant") "[[Yo" END "]]\\n");
	check("{\"type\":\"chat_template\",\"train_on_eos\":\"last\"}",
	      "{\"messages\":[" M("assistant", "a") "," M("assistant", "b") "," M("user", "c") "]}",
	      TURN("assistant") "[[a]]" END "\\n" TURN("assistant") "[[b" END "]]\\n" TURN("user") "c" END "\\n");
	check_with((struct setup){.eot = "[\"<|im_start|>\"]"}, CHAT,
		   "{\"messages\":[" M("assistant", "a") "," M("user", "c") "]}",
		   TURN("assistant") "[[a" END "\\n<|im_start|>]]user\\nc" END "\\n");
	check(CHAT, "{\"messages\":[" M("user", "Hi") "," M("assistant", "") "]}",
	      TURN("user") "Hi" END "\\n" TURN("assistant") END "\\n!2");
	check("{\"type\":\"chat_template\",\"chat_template\":\"chatml\"}",
	      "{\"messages\":[{\"role\":\"user\"}," M("assistant", "x") "]}",
	      "!template line 2, column 7: UndefinedError: 'dict object' has no attribute 'content'");
}

static void test_reasoning_and_calls(void **state)
{
	check(CHAT, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":\"r\"}]}",
	      TURN("assistant") "[[<think>\\nr\\n</think>\\na" END "]]\\n");
	check(CHAT,
	      "{\"messages\":[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
	      "\"arguments\":\"{\\\"a\\\":1}\"}}]}]}",
	      TURN("assistant") "[[\\n<call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}</call>" END "]]\\n");
	check("{\"type\":\"chat_template\",\"split_thinking\":true}",
	      "{\"messages\":[" M("assistant", "<think>r</think>a") "]}",
	      TURN("assistant") "[[<think>\\nr\\n</think>\\na" END "]]\\n");
}

static void test_parts(void **state)
{
	const char *td = "{\"type\":\"chat_template\",\"message_field_training_detail\":\"td\"}";

	check(CHAT,
	      "{\"messages\":[{\"role\":\"assistant\",\"content\":[{\"text\":\"ab\",\"train\":false},{\"text\":\"zq\"}]"
	      "}]}",
	      TURN("assistant") "ab[[zq" END "]]\\n");
	check(td,
	      "{\"messages\":[{\"role\":\"assistant\",\"content\":\"  "
	      "xyz\",\"td\":[{\"begin_offset\":2,\"end_offset\":2,\"train\":true}]}]}",
	      TURN("assistant") "[[x]]yz[[" END "]]\\n");
	check(td, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"xyz\",\"td\":[]}]}",
	      TURN("assistant") "xyz" END "\\n");
	/* " model" is one token: the blank is shared, the word is not */
	check(td,
	      "{\"messages\":[{\"role\":\"assistant\",\"content\":\"x "
	      "model\",\"td\":[{\"begin_offset\":2,\"end_offset\":6,\"train\":true}]}]}",
	      TURN("assistant") "x[[ model" END "]]\\n");
	check(td,
	      "{\"messages\":[{\"role\":\"assistant\",\"content\":\"x "
	      "model\",\"td\":[{\"begin_offset\":0,\"end_offset\":3,\"train\":true}]}]}",
	      TURN("assistant") "[[x]] model[[" END "]]\\n");
	check("{\"type\":\"chat_template\",\"message_field_training\":\"t\"}",
	      "{\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"t\":1},{\"role\":\"assistant\",\"content\":\"b\","
	      "\"t\":\"false\"}]}",
	      TURN("user") "[[a" END "]]\\n" TURN("assistant") "b" END "\\n");
}

static void test_templates(void **state)
{
	const char *row = "{\"messages\":[" M("user", "Hi") "," M("assistant", "Yo") "]}";

	check("{\"type\":\"chat_template\",\"chat_template\":\"mistral_v1\"}", row,
	      "<s> [INST] Hi [/INST][[ Yo<|im_end|>]]");
	check("{\"type\":\"chat_template\",\"chat_template\":\"nonesuch\"}", row,
	      "!chat_template: no template named \"nonesuch\" is built in; give chat_template: jinja and "
	      "chat_template_jinja: FILE");
	check("{\"type\":\"chat_template\",\"chat_template\":\"jinja\"}", row,
	      "!chat_template: jinja needs chat_template_jinja");
	check("{\"type\":\"chat_template\",\"chat_template\":\"jinja\",\"chat_template_jinja\":\"{% if %}\"}", row,
	      "!chat_template: line 1, column 7: TemplateSyntaxError: Expected an expression, got 'end of statement block'");
	check("{\"type\":\"chat_template\",\"chat_template\":\"jinja\",\"chat_template_jinja\":\"{{ bos_token }}{{ "
	      "bos_token }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}\"}",
	      row, "<s><s>Hi<|im_end|>[[Yo<|im_end|>]]!4");
	check("{\"type\":\"chat_template\",\"chat_template\":\"jinja\",\"chat_template_jinja\":\"{% for m in messages "
	      "%}{{ m.content }};{% endfor %}\"}",
	      row, "Hi;[[Yo]];!1");
	check("{\"type\":\"chat_template\",\"chat_template\":\"gemma\"}", "{\"messages\":[" M("system", "x") "]}",
	      "!template line 4, column 24: TemplateError: System role not supported");
}

/* Plain conversations come out alike; an answer loses what it shares with the placeholder. */
static void test_axolotl(void **state)
{
	struct setup u = {.mask = AX_MASK_AXOLOTL};

	check_with(u, CHAT,
		   "{\"messages\":[" M("user", "Hi") "," M("assistant", "Hello") "," M("user", "Go") "," M("assistant",
													   "Ok") "]}",
		   TURN("user") "Hi" END "\\n" TURN("assistant") "[[Hello" END "]]\\n" TURN("user") "Go" END "\\n" TURN(
		       "assistant") "[[Ok" END "]]\\n");
	check_with(u, CHAT, "{\"messages\":[" M("user", "Hi") "," M("assistant", "[[1, 2]]") "]}",
		   TURN("user") "Hi" END "\\n" TURN("assistant") "[[[[1, 2]]]][[" END "]]\\n");
	/* a template that writes nothing: the search for an end token has nowhere to begin */
	for (int mode = 0; mode < 2; mode++)
		check_with((struct setup){.mask = mode ? AX_MASK_AXOLOTL : AX_MASK_EXACT},
			   "{\"type\":\"chat_template\",\"chat_template\":\"jinja\",\"chat_template_jinja\":\"{# #}\"}",
			   "{\"messages\":[" M("user", "Hi") "," M("assistant", "Hello") "]}", mode ? "!3" : "!2");
}

static void test_show(void **state)
{
	static const uint32_t text[] = {71, 198, 59, 400, 9999}, split[] = {127, 102}, half[] = {127};
	struct ax_buf b = AX_BUF_INIT;

	ax_show_tokens(&b, eff->tok, text, 5);
	assert_string_equal(b.p, "h\\n\\\\<s><9999>");
	ax_buf_reset(&b);
	ax_show_tokens(&b, eff->tok, split, 2);
	assert_string_equal(b.p, "\xc3\xa9");
	ax_buf_reset(&b);
	ax_show_tokens(&b, eff->tok, half, 1);
	assert_string_equal(b.p, "\\xc3");
	ax_buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_texts),
	    cmocka_unit_test(test_turns), cmocka_unit_test(test_prompts),
	    cmocka_unit_test(test_ids),
	    cmocka_unit_test(test_chat),
	    cmocka_unit_test(test_reasoning_and_calls),
	    cmocka_unit_test(test_parts),
	    cmocka_unit_test(test_templates),
	    cmocka_unit_test(test_axolotl),
	    cmocka_unit_test(test_show),
	};
	struct ax_tok_spec spec = {.model_dir = MODEL};
	struct ax_err e = {0};
	int rc;

	ax_arena_init(&arena, 0);
	if (ax_effective_open(&eff, &spec, &e)) {
		printf("not ok 1 - %s\n", e.msg);
		return 1;
	}
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	ax_effective_free(eff);
	ax_arena_release(&arena);
	return rc;
}

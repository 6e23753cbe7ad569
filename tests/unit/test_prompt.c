#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "text/json.h"
#include "tok/prompt.h"
#include "tok/prompt_format.h"

static struct ax_arena arena;

static struct ax_val *json(const char *s)
{
	struct ax_val *v;
	struct ax_err e = {0};

	assert_int_equal(ax_json_parse(&arena, s, strlen(s), &v, &e), 0);
	return v;
}

/* "PROMPT=>ANSWER" or "!message" of one row. */
static void check(const char *type, const char *row, const char *want)
{
	struct ax_prompt p;
	struct ax_err e = {0};
	struct ax_prompt_text prompt = {0}, answer = {0};
	struct ax_buf got = AX_BUF_INIT;
	int rc = *type == '{' ? ax_prompt_init_user(&p, json(type), &arena, &e) : ax_prompt_init(&p, type, NULL, &e);

	if (!rc)
		rc = ax_prompt_build(&p, json(row), &prompt, &answer, &e);
	if (rc)
		ax_buf_addf(&got, "!%s", e.msg);
	else
		ax_buf_addf(&got, "%s=>%s", prompt.b.n ? prompt.b.p : "", answer.b.n ? answer.b.p : "");
	assert_string_equal(got.p, want);
	ax_prompt_text_release(&prompt);
	ax_prompt_text_release(&answer);
	ax_buf_release(&got);
}

#define NO_INPUT                                                                                                       \
	"Below is an instruction that describes a task. Write a response that appropriately completes the request."

static void test_styles(void **state)
{
	const char *row = "{\"instruction\":\"Go\",\"output\":\"Ok\"}";

	check("alpaca", row, NO_INPUT "\n\n### Instruction:\nGo\n\n### Response:\n=>Ok");
	check("alpaca:chat", row, "SYSTEM: " NO_INPUT "\nUSER: Go\nASSISTANT:=>Ok");
	check("alpaca:chatml", row,
	      "<|im_start|>system\n" NO_INPUT
	      "<|im_end|>\n<|im_start|>user\nGo<|im_end|>\n<|im_start|>assistant\n=>Ok");
	check("alpaca:phi", row, "<|system|>\n" NO_INPUT "<|end|>\n<|user|>\nGo<|end|>\n<|assistant|>\n=>Ok");
	check("alpaca:none", row, "!unknown prompt style \"none\": instruct, chat, chatml and phi are known");
	check("alpaca_instruct:chat", row, "!dataset type \"alpaca_instruct\" has no style \"chat\"");
	check("alpaca_chat.load_none", row, "!unknown dataset type \"alpaca_chat.load_none\"");
}

static void test_relatives(void **state)
{
	check("jeopardy", "{\"category\":null,\"question\":\"Q\",\"answer\":\"A\"}",
	      NO_INPUT "\n\n### Instruction:\nQ\n\n### Response:\n=>what is A");
	check("explainchoice:chat", "{\"question\":\"Q\",\"choices\":[\"a\",\"b\"],\"explanation\":\"why\"}",
	      "SYSTEM: Choose the answer that best answers the question. Explain your reasoning.\n\n"
	      "USER: Q\n- \"a\"\n- \"b\"\nASSISTANT:=>why");
	check("alpaca_w_system.load_open_orca", "{\"system_prompt\":\"\",\"question\":\"2+2?\",\"response\":4}",
	      "### Human:\n2+2?\n### Assistant:\n=>4");
	check("context_qa.load_v2", "{\"context\":\"\",\"question\":\"\",\"answer\":\"x\"}",
	      "Context: \nQuestion: \n=>Answer: x");
	check("reflection", "{\"instruction\":\"I\",\"output\":\"o\",\"reflection\":\"r\",\"corrected\":\"c\"}",
	      "### Instruction:\nI\n\n### Response:\n=>### Thought:\no\n\n### Agent Reflection:\nr\n\n### Final "
	      "Response:\nc");
	check("reflection", "{\"instruction\":\"I\",\"output\":\"o\",\"reflection\":\"r\"}",
	      "### Instruction:\nI\n\n### Response:\n=>");
	check("metharme", "{\"prompt\":\"p\",\"generation\":\"g\"}", "p=>g");
}

static void test_fields(void **state)
{
	check("alpaca", "{\"output\":\"x\"}", "!field \"instruction\" is missing");
	check("alpaca", "{\"instruction\":null,\"output\":\"x\"}", "!field \"instruction\" is missing");
	check("alpaca_instruct.load_no_prompt", "{\"instruction\":\"a\",\"output\":null}",
	      "### Instruction:\na\n\n### Response:\n=>");
	check("alpaca_instruct.load_no_prompt", "{\"instruction\":NaN,\"input\":0,\"output\":-Infinity}",
	      "### Instruction:\nnan\n\n### Response:\n=>-inf");
	check("alpaca_instruct.load_no_prompt", "{\"instruction\":\"a\",\"input\":1,\"output\":1e22}",
	      "### Instruction:\na\n\n### Input:\n1\n\n### Response:\n=>1e+22");
	check("alpaca_instruct.load_no_prompt", "{\"instruction\":[1]}", "!field \"instruction\" is no text");
	check("alpaca_instruct.load_no_prompt", "{\"instruction\":true,\"output\":1.5}",
	      "### Instruction:\nTrue\n\n### Response:\n=>1.5");
}

static void test_user(void **state)
{
	check("{}", "{\"instruction\":\"a\",\"input\":\"b\",\"output\":\"c\"}", "a b =>c");
	check("{}", "{\"instruction\":\"a\",\"output\":\"c\"}", "a =>c");
	check("{\"system_prompt\":\"S\",\"system_format\":\"<<{system}>>\",\"format\":\"{{{input}}}{instruction}\","
	      "\"field_input\":\"ctx\"}",
	      "{\"instruction\":\"{input}\",\"ctx\":\"b\",\"output\":\"c\"}", "<<S>>{b}{input}=>c");
	check("{\"no_input_format\":\"{instruction} {input}\"}", "{\"instruction\":\"a\"}",
	      "!format \"{instruction} {input}\" names {input}, which it may not use");
}

/* Orca Mini writes its system part also where there is no text for it. */
static void test_orcamini(void **state)
{
	check("orcamini", "{\"system_prompt\":\"s\",\"question\":\"q\",\"response\":\"r\"}",
	      "### System:\ns\n\n### User:\nq\n\n### Response:\n=>r");
	check("orcamini", "{\"system_prompt\":\"\",\"question\":\"q\",\"response\":\"r\"}",
	      "### System:\n\n\n### User:\nq\n\n### Response:\n=>r");
	check("alpaca_w_system.load_open_orca", "{\"system_prompt\":\"\",\"question\":\"q\",\"response\":\"r\"}",
	      "### Human:\nq\n### Assistant:\n=>r");
}

static void check_format(const char *format, const char *want)
{
	const struct ax_format_arg arg[] = {{"a", "bc\xc3\xa9", 4, true}, {"q", "it's", 4, false}, {"z", "\xe2\x80\x8b\x01\\\n", 6, true}};
	struct ax_buf b = AX_BUF_INIT;
	struct ax_err e = {0};

	if (ax_format(&b, NULL, format, arg, 3, &e)) {
		ax_buf_reset(&b);
		ax_buf_addf(&b, "!%s", e.msg);
	}
	assert_string_equal(b.p, want);
	ax_buf_release(&b);
}

static void test_format(void **state)
{
	check_format("[{a:>6}|{a:*^7}|{a:-<5}|{a:6}|{a:.2}]",
		     "[   bc\xc3\xa9|**bc\xc3\xa9**|bc\xc3\xa9--|bc\xc3\xa9   |bc]");
	check_format("{a!r} {q!r:>8} {{}}", "'bc\xc3\xa9'   \"it's\" {}");
	check_format("{z!r}", "'\\u200b\\x01\\\\\\n'");
	check_format("{a", "!malformed format \"{a\"");
	check_format("a}", "!malformed format \"a}\"");
	check_format("{a!x}", "!malformed format \"{a!x}\"");
	check_format("{a:>99999}", "!malformed format \"{a:>99999}\"");
	check_format("{}", "!format \"{}\" names {}, which it may not use");
}

static void test_creative(void **state)
{
	const char *row = "{\"instruction\":\"Q\",\"answer\":\"A\",\"revision\":\"R\",\"scores\":{\"b\":2,\"a\":1},"
			  "\"critiques\":{\"a\":{\"explanation\":\"- x\"}}}";
	struct ax_prompt_text prompt = {0}, answer = {0};
	struct ax_err e = {0};
	struct ax_prompt p;

	check("creative_acr.load_answer", row,
	      "Answer the following question in a comprehensive, in-depth, and creative way. Additionally your response "
	      "should be relevant, accurate, and free of any ambiguity.\nUSER: Q\nASSISTANT:=>R");
	assert_int_equal(ax_prompt_init(&p, "creative_acr.load_critique", NULL, &e), 0);
	assert_int_equal(ax_prompt_build(&p, json(row), &prompt, &answer, &e), 0);
	assert_non_null(strstr(prompt.b.p, "\n\nQuestion: Q\nAnswer: A\n\nASSISTANT:"));
	assert_string_equal(answer.b.p, "a: 1\nb: 2\na:\n  explanation: '- x'\n");
	assert_int_equal(ax_prompt_init(&p, "creative_acr.load_revise", NULL, &e), 0);
	assert_int_equal(ax_prompt_build(&p, json(row), &prompt, &answer, &e), 0);
	assert_non_null(strstr(prompt.b.p, "Answer: A\nEvaluation:\na: 1\nb: 2\na:\n  explanation: '- x'\n\n\nASSISTANT:"));
	assert_string_equal(answer.b.p, "R");
	ax_prompt_text_release(&prompt);
	ax_prompt_text_release(&answer);
	check("context_qa", "{\"article\":\"T\",\"question\":\"Q\",\"answer\":\"A\"}",
	      "SYSTEM: Use the following contextual information to concisely answer the question.\n\nUSER: "
	      "T\n===\nQ\nASSISTANT:=>A");
	check("creative_acr.load_revise", "{\"instruction\":\"Q\",\"answer\":\"A\",\"revision\":\"R\"}",
	      "!field \"scores\" is missing");
	check("creative_acr", row, "!unknown dataset type \"creative_acr\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_creative), cmocka_unit_test(test_styles), cmocka_unit_test(test_relatives), cmocka_unit_test(test_fields),
	    cmocka_unit_test(test_user),   cmocka_unit_test(test_orcamini), cmocka_unit_test(test_format),
	};
	int rc;

	ax_arena_init(&arena, 0);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	ax_arena_release(&arena);
	return rc;
}

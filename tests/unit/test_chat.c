#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "text/json.h"
#include "text/jinja.h"
#include "tok/chat.h"
#include "tok/effective.h"

static struct ax_arena arena;

static struct ax_val *json(const char *s)
{
	struct ax_val *v;
	struct ax_err e = {0};

	assert_int_equal(ax_json_parse(&arena, s, strlen(s), &v, &e), 0);
	return v;
}

/* Messages as JSON, each followed by + (its role is trained), t0/t1 (its flag), d[ranges]; or "!message". */
static void show(const struct ax_thread *t, struct ax_buf *b)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct ax_turn *u = &t->turn[i];

		ax_json_write(b, u->msg, 0);
		ax_buf_adds(b, u->by_role ? "+" : "");
		if (u->training)
			ax_buf_addf(b, "t%d", ax_val_truthy(u->training));
		for (size_t k = 0; k < u->detail.n; k++)
			ax_buf_addf(b, "d%lld-%lld:%d", (long long)u->detail.part[k].begin,
				    (long long)u->detail.part[k].end, u->detail.part[k].train);
		for (size_t k = 0; k < u->reasoning_detail.n; k++)
			ax_buf_addf(b, "r%lld-%lld:%d", (long long)u->reasoning_detail.part[k].begin,
				    (long long)u->reasoning_detail.part[k].end, u->reasoning_detail.part[k].train);
	}
	if (t->tools) {
		ax_buf_adds(b, "tools");
		ax_json_write(b, t->tools, 0);
	}
}

static void check(const char *entry, const char *template_text, const char *row, const char *want)
{
	struct ax_chat c;
	struct ax_thread t;
	struct ax_err e = {0};
	struct ax_buf b = AX_BUF_INIT;
	int rc = ax_chat_init(&c, json(entry), template_text, &e);

	if (!rc) {
		rc = ax_chat_thread(&c, json(row), &arena, &t, &e);
		if (!rc)
			show(&t, &b);
		ax_chat_release(&c);
	}
	if (rc)
		ax_buf_addf(&b, "!%s", e.msg);
	assert_string_equal(b.p, want);
	ax_buf_release(&b);
}

#define U "{\"role\":\"user\",\"content\":\"u\"}"

static void test_mapping(void **state)
{
	check("{}", "", "{\"messages\":[" U ",{\"role\":\"gpt\",\"content\":\"a\",\"x\":1,\"y\":null}]}",
	      U "{\"role\":\"assistant\",\"content\":\"a\"}+");
	check("{}", "{{ m.x }}", "{\"messages\":[{\"role\":\"user\",\"content\":\"u\",\"x\":1,\"xy\":2}]}",
	      "{\"role\":\"user\",\"content\":\"u\",\"x\":1}");
	check("{\"field_messages\":\"c\",\"message_property_mappings\":{\"role\":\"from\",\"content\":\"value\"}}",
	      "value", "{\"c\":[{\"from\":\"human\",\"value\":\"u\"}]}", U);
	check("{\"message_field_role\":\"from\",\"message_field_content\":\"value\"}", "",
	      "{\"messages\":[{\"from\":\"human\",\"value\":\"u\"}]}", U);
	check("{\"message_field_role\":\"from\",\"message_property_mappings\":{\"role\":\"who\"}}", "", "{}",
	      "!message_field_role: from contradicts message_property_mappings (who)");
	check("{\"roles\":{\"assistant\":[\"bot\"],\"user\":[\"me\"]},\"roles_to_train\":[\"me\"]}", "",
	      "{\"messages\":[{\"role\":\"me\",\"content\":\"u\"},{\"role\":\"gpt\",\"content\":\"a\"}]}",
	      U "+{\"role\":\"gpt\",\"content\":\"a\"}");
	/* the default roles_to_train goes through roles too */
	check("{\"roles\":{\"model\":[\"assistant\"]}}", "", "{\"messages\":[" U ",{\"role\":\"assistant\",\"content\":\"a\"}]}",
	      U "{\"role\":\"model\",\"content\":\"a\"}+");
	/* nulls go, but not from conversations that are text */
	check("{}", "{{ m.x }}", "{\"messages\":[{\"role\":\"user\",\"content\":\"u\",\"x\":{\"a\":null,\"b\":[null,{}]}}]}",
	      "{\"role\":\"user\",\"content\":\"u\",\"x\":{\"b\":[null,{}]}}");
	check("{}", "{{ m.x }}",
	      "{\"messages\":\"[{\\\"role\\\":\\\"user\\\",\\\"content\\\":\\\"u\\\",\\\"x\\\":{\\\"a\\\":null}}]\"}",
	      "{\"role\":\"user\",\"content\":\"u\",\"x\":{\"a\":null}}");
	/* a key that ends with a NUL is another key */
	check("{}", "", "{\"messages\":[{\"role\":\"user\",\"content\":\"u\",\"content\\u0000\":\"x\"}]}", U);
	check("{}", "", "{\"messages\":\"[{\\\"role\\\":\\\"user\\\",\\\"content\\\":\\\"u\\\"}]\"}", U);
}

static void test_system(void **state)
{
	const char *row = "{\"system\":\"s\",\"messages\":[" U "]}",
		   *both = "{\"system\":\"s\",\"messages\":[{\"role\":\"system\",\"content\":\"t\"}," U "]}";

	check("{}", "", row, "{\"role\":\"system\",\"content\":\"s\"}" U);
	check("{\"field_system\":\"other\"}", "", row, "{\"role\":\"system\",\"content\":\"s\"}" U);
	check("{}", "", both, "{\"role\":\"system\",\"content\":\"t\"}" U);
	check("{\"drop_system_message\":true}", "", row, U);
	check("{\"drop_system_message\":true}", "", both, U);
}

static void test_training(void **state)
{
	check("{\"message_field_training\":\"train\",\"message_field_training_detail\":\"td\"}", "",
	      "{\"messages\":[{\"role\":\"user\",\"content\":\"u\",\"train\":1},"
	      "{\"role\":\"gpt\",\"content\":\"abc\",\"td\":[{\"begin_offset\":0,\"end_offset\":1,\"train\":false}]}]}",
	      U "t1{\"role\":\"assistant\",\"content\":\"abc\"}+d0-1:0");
	check("{}", "",
	      "{\"messages\":[{\"role\":\"gpt\",\"content\":[{\"text\":\"a\xc3\xa9\",\"train\":false},{\"value\":\"c\"}"
	      ",{\"text\":\"\"}]}]}",
	      "{\"role\":\"assistant\",\"content\":\"a\xc3\xa9"
	      "c\"}+d0-1:0d2-2:1");
	check("{}", "",
	      "{\"messages\":[{\"role\":\"gpt\",\"content\":[{\"text\":\"a\"},{\"text\":\"b\",\"weight\":null}]}]}",
	      "{\"role\":\"assistant\",\"content\":\"ab\"}+");
	check("{}", "reasoning_content",
	      "{\"messages\":[{\"role\":\"gpt\",\"content\":\"x\",\"reasoning_content\":[{\"text\":\"a\",\"weight\":0},"
	      "{\"text\":\"b\",\"weight\":1}]}]}",
	      "{\"role\":\"assistant\",\"content\":\"x\",\"reasoning_content\":\"ab\"}+r0-0:0r1-1:1");
	check("{\"message_field_training_detail\":\"td\"}", "",
	      "{\"messages\":[{\"role\":\"user\",\"td\":[{\"train\":true}]}]}",
	      "!message 1: training detail 1 lacks begin_offset, end_offset or train");
}

static void test_thinking(void **state)
{
	const char *on = "{\"split_thinking\":true}";

	check(on, "", "{\"messages\":[{\"role\":\"gpt\",\"content\":\"<think>\\n a \\n</think>\\n\\n b\"}]}",
	      "{\"role\":\"assistant\",\"content\":\"b\",\"reasoning_content\":\"a\"}+");
	check(on, "",
	      "{\"messages\":[{\"role\":\"gpt\",\"content\":\"<|begin_of_thought|>a<|end_of_thought|> "
	      "<|begin_of_solution|> b <|end_of_solution|>\"}]}",
	      "{\"role\":\"assistant\",\"content\":\"b\",\"reasoning_content\":\"a\"}+");
	check(on, "",
	      "{\"messages\":[{\"role\":\"gpt\",\"content\":\"</"
	      "think>a<think>\"},{\"role\":\"user\",\"content\":\"<think>a</think>\"}]}",
	      "{\"role\":\"assistant\",\"content\":\"</think>a<think>\"}+{\"role\":\"user\",\"content\":\"<think>a</"
	      "think>\"}");
	/* the message's own reasoning wins where the template names it; a mapped one does not */
	check(on, "reasoning_content", "{\"messages\":[{\"role\":\"gpt\",\"content\":\"<think>a</think>b\",\"reasoning_content\":\"c\"}]}",
	      "{\"role\":\"assistant\",\"content\":\"b\",\"reasoning_content\":\"c\"}+");
	check("{\"split_thinking\":true,\"message_property_mappings\":{\"reasoning_content\":\"r\"}}", "reasoning_content",
	      "{\"messages\":[{\"role\":\"gpt\",\"content\":\"<think>a</think>b\",\"r\":\"c\"}]}",
	      "{\"reasoning_content\":\"a\",\"role\":\"assistant\",\"content\":\"b\"}+");
}

/* Parts are objects; what else there is would be lost. */
static void test_parts(void **state)
{
	check("{}", "", "{\"messages\":[{\"role\":\"gpt\",\"content\":[\"a\"]}]}",
	      "!message 1: part 1 of \"content\" is no object with a text");
	check("{}", "", "{\"messages\":[{\"role\":\"gpt\",\"content\":[{\"text\":\"a\"},{\"text\":5}]}]}",
	      "!message 1: part 2 of \"content\" is no object with a text");
	check("{}", "", "{\"messages\":[{\"role\":\"gpt\",\"content\":[{\"type\":\"image\"},{\"text\":\"a\",\"weight\":0.0},{\"text\":\"b\",\"weight\":\"\"}]}]}",
	      "{\"role\":\"assistant\",\"content\":\"ab\"}+d0-0:0d1-1:1");
}

static void test_tools(void **state)
{
	check("{}", "tool_calls",
	      "{\"tools\":\"[{\\\"function\\\":{\\\"parameters\\\":\\\"{}\\\"}}]\",\"messages\":[{\"role\":\"gpt\","
	      "\"tool_calls\":"
	      "[{\"function\":{\"arguments\":\"{\\\"a\\\":[1]}\",\"n\":null}}]}]}",
	      "{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"arguments\":{\"a\":[1]}}}]}+tools[{"
	      "\"function\":{\"parameters\":{}}}]");
	check("{}", "", "{\"tools\":{},\"messages\":[" U "]}", "!field \"tools\" is no list");
	check("{}", "", "{\"tools\":[],\"messages\":[" U "]}", U);
}

static void test_bad(void **state)
{
	check("{}", "", "{\"text\":1}", "!field \"messages\" is missing");
	check("{}", "", "{\"messages\":null}", "!field \"messages\" is missing");
	check("{}", "", "{\"messages\":[]}", "!field \"messages\" is no list of messages: it is empty");
	check("{}", "", "{\"messages\":\"{}\"}", "!field \"messages\" is no list of messages");
	check("{}", "", "{\"messages\":[" U ",3]}", "!message 2: a message is no object");
	check("{}", "", "{\"messages\":[{\"content\":\"u\"}]}", "!message 1: a message has no role");
	check("{\"roles\":[]}", "", "{\"messages\":[" U "]}", U);
	check("{\"roles\":{\"a\":1}}", "", "{}", "!roles.a must be a list of source names");
	check("{\"roles_to_train\":\"assistant\"}", "", "{}", "!roles_to_train must be a list");
}

/* Every built-in template compiles, and writes each turn of a plain exchange once, in order. */
static void test_built_in(void **state)
{
	static const char context[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"question\"},{\"role\":\"assistant\","
				      "\"content\":\"reply\"}],\"bos_token\":\"<s>\",\"eos_token\":\"</s>\"}";
	const char *name;
	size_t n = 0;

	for (; (name = ax_chat_template_name(n)); n++) {
		const char *text = ax_chat_template_bundled(name), *q, *a;
		struct ax_jinja_opt o = {0};
		struct ax_jinja *t = NULL;
		struct ax_rope rope;
		struct ax_err e = {0};

		ax_rope_init(&rope);
		assert_int_equal(ax_jinja_compile(&t, text, strlen(text), 0, &e), 0);
		assert_int_equal(ax_jinja_render(t, json(context), &o, &rope, &e), 0);
		q = strstr(rope.b.p, "question");
		a = q ? strstr(q, "reply") : NULL;
		if (!a || strstr(a + 1, "reply"))
			fail_msg("%s wrote %s", name, rope.b.p);
		ax_rope_release(&rope);
		ax_jinja_free(t);
	}
	assert_int_equal(n, 36);
	assert_null(ax_chat_template_bundled("_qwen_tools"));
	assert_null(ax_chat_template_bundled("nonesuch"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_mapping),  cmocka_unit_test(test_system), cmocka_unit_test(test_training),
	    cmocka_unit_test(test_thinking), cmocka_unit_test(test_parts),  cmocka_unit_test(test_tools),
	    cmocka_unit_test(test_bad),	     cmocka_unit_test(test_built_in),
	};
	int rc;

	ax_arena_init(&arena, 0);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	ax_arena_release(&arena);
	return rc;
}

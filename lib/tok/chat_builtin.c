/*
 * Chat templates by name, written for this project: each gives the text that Axolotl's template of the same name gives.
 * Lines are trimmed by the templates themselves, so none needs a newline.
 */
#include <string.h>

#include "tok/effective.h"

static const char chatml[] =
	"{%- for m in messages -%}"
	"{{- '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' -}}"
	"{%- endfor -%}"
	"{%- if add_generation_prompt -%}"
	"{{- '<|im_start|>assistant\\n' -}}"
	"{%- endif -%}";

static const char llama3[] =
	"{%- for m in messages -%}"
	"{%- set parts = m['content'] if m['content'] is not string else [] -%}"
	"{%- set text = m['content'] if m['content'] is string else parts | selectattr('text', 'defined') | "
	"map(attribute='text') | join('') -%}"
	"{{- (bos_token if loop.first else '') + '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + "
	"text | trim + '<|eot_id|>' -}}"
	"{%- endfor -%}"
	"{%- if add_generation_prompt -%}"
	"{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}"
	"{%- endif -%}";

static const char gemma[] =
	"{{- bos_token -}}"
	"{%- for m in messages -%}"
	"{%- if loop.first and m['role'] == 'system' -%}"
	"{{- raise_exception('System role not supported') -}}"
	"{%- endif -%}"
	"{%- if m['role'] != 'user' and loop.index0 is even or m['role'] == 'user' and loop.index0 is odd -%}"
	"{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') -}}"
	"{%- endif -%}"
	"{{- '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\\n' -}}"
	"{%- if m['content'] is string -%}"
	"{{- m['content'] | trim -}}"
	"{%- else -%}"
	"{%- for part in m['content'] if 'text' in part -%}"
	"{{- part['text'] | trim -}}"
	"{%- endfor -%}"
	"{%- endif -%}"
	"{{- '<end_of_turn>\\n' -}}"
	"{%- endfor -%}"
	"{%- if add_generation_prompt -%}"
	"{{- '<start_of_turn>model\\n' -}}"
	"{%- endif -%}";

static const char gemma3[] =
	"{{- bos_token -}}"
	"{%- set has_system = messages[0]['role'] == 'system' -%}"
	"{%- set lead = namespace(text='') -%}"
	"{%- if has_system and messages[0]['content'] is string -%}"
	"{%- set lead.text = messages[0]['content'] + '\\n\\n' -%}"
	"{%- elif has_system -%}"
	"{%- for part in messages[0]['content'] if 'text' in part -%}"
	"{%- set lead.text = lead.text + part['text'] -%}"
	"{%- endfor -%}"
	"{%- set lead.text = lead.text + '\\n\\n' -%}"
	"{%- endif -%}"
	"{%- for m in (messages[1:] if has_system else messages) -%}"
	"{%- if m['role'] != 'user' and loop.index0 is even or m['role'] == 'user' and loop.index0 is odd -%}"
	"{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') -}}"
	"{%- endif -%}"
	"{{- '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\\n' + (lead.text if "
	"loop.first else '') -}}"
	"{%- if m['content'] is string -%}"
	"{{- m['content'] | trim -}}"
	"{%- elif m['content'] is iterable -%}"
	"{%- for part in m['content'] -%}"
	"{%- if part['type'] == 'text' -%}"
	"{{- part['text'] | trim -}}"
	"{%- elif part['type'] == 'image' -%}"
	"{{- '<start_of_image>' -}}"
	"{%- endif -%}"
	"{%- endfor -%}"
	"{%- else -%}"
	"{{- raise_exception('Invalid content type') -}}"
	"{%- endif -%}"
	"{{- '<end_of_turn>\\n' -}}"
	"{%- endfor -%}"
	"{%- if add_generation_prompt -%}"
	"{{- '<start_of_turn>model\\n' -}}"
	"{%- endif -%}";

static const char mistral_v1[] =
	"{%- macro words(content) -%}"
	"{{- content if content is string else content | selectattr('type', 'equalto', 'text') | "
	"map(attribute='text') | join('') -}}"
	"{%- endmacro -%}"
	"{%- set has_system = messages[0]['role'] == 'system' -%}"
	"{{- bos_token -}}"
	"{%- for m in (messages[1:] if has_system else messages) -%}"
	"{%- if m['role'] != 'user' and loop.index0 is even or m['role'] == 'user' and loop.index0 is odd -%}"
	"{{- raise_exception('After the optional system message, conversation roles must alternate "
	"user/assistant/user/assistant/...') -}}"
	"{%- endif -%}"
	"{%- if m['role'] == 'user' -%}"
	"{{- ' [INST] ' -}}"
	"{%- if has_system and loop.first -%}"
	"{{- words(messages[0]['content']) + '\\n\\n' -}}"
	"{%- endif -%}"
	"{{- words(m['content']) + ' [/INST]' -}}"
	"{%- elif m['role'] == 'assistant' -%}"
	"{{- ' ' + words(m['content']) + eos_token -}}"
	"{%- else -%}"
	"{{- raise_exception('Only user and assistant roles are supported, with the exception of an initial optional "
	"system message!') -}}"
	"{%- endif -%}"
	"{%- endfor -%}";

static const char mistral_v2v3[] =
	"{%- macro words(content) -%}"
	"{{- content if content is string else content | selectattr('type', 'equalto', 'text') | "
	"map(attribute='text') | join('') -}}"
	"{%- endmacro -%}"
	"{%- macro call_id(id) -%}"
	"{%- if id is undefined or id | length != 9 -%}"
	"{{- raise_exception('Tool call IDs should be alphanumeric strings with length 9!') -}}"
	"{%- endif -%}"
	"{{- id -}}"
	"{%- endmacro -%}"
	"{%- set has_system = messages[0]['role'] == 'system' -%}"
	"{%- set turns = messages[1:] if has_system else messages -%}"
	"{%- set count = namespace(turns=0, last_user=none) -%}"
	"{%- for m in turns -%}"
	"{%- if m['role'] == 'user' -%}"
	"{%- set count.last_user = m -%}"
	"{%- endif -%}"
	"{%- if m['role'] not in ['tool', 'tool_results'] and (m.tool_calls is undefined or m.tool_calls is none) -%}"
	"{%- if m['role'] != 'user' and count.turns is even or m['role'] == 'user' and count.turns is odd -%}"
	"{{- raise_exception('After the optional system message, conversation roles must alternate "
	"user/assistant/user/assistant/...') -}}"
	"{%- endif -%}"
	"{%- set count.turns = count.turns + 1 -%}"
	"{%- endif -%}"
	"{%- endfor -%}"
	"{{- bos_token -}}"
	"{%- for m in turns -%}"
	"{%- if m['role'] == 'user' -%}"
	"{%- if tools is defined and tools is not none and m == count.last_user -%}"
	"{{- '[AVAILABLE_TOOLS] [' -}}"
	"{%- for tool in tools -%}"
	"{{- '{\"type\": \"function\", \"function\": {' -}}"
	"{%- for key, value in tool['function'].items() if key != 'return' -%}"
	"{{- '\"' + key + '\": ' -}}"
	"{{- '\"' + value + '\"' if value is string else value | tojson -}}"
	"{{- '' if loop.last else ', ' -}}"
	"{%- endfor -%}"
	"{{- '}}' + (']' if loop.last else ', ') -}}"
	"{%- endfor -%}"
	"{{- '[/AVAILABLE_TOOLS]' -}}"
	"{%- endif -%}"
	"{{- '[INST] ' -}}"
	"{%- if has_system and loop.last -%}"
	"{{- words(messages[0]['content']) + '\\n\\n' -}}"
	"{%- endif -%}"
	"{{- words(m['content']) + '[/INST]' -}}"
	"{%- elif m.tool_calls is defined and m.tool_calls is not none -%}"
	"{{- '[TOOL_CALLS] [' -}}"
	"{%- for call in m.tool_calls -%}"
	"{%- set text = call['function'] | tojson -%}"
	"{{- text[:-1] + ', \"id\": \"' + call_id(call.id) + '\"}' + (']' + eos_token if loop.last else ', ') -}}"
	"{%- endfor -%}"
	"{%- elif m['role'] == 'assistant' -%}"
	"{{- ' ' + words(m['content']) | trim + eos_token -}}"
	"{%- elif m['role'] in ['tool', 'tool_results'] -%}"
	"{%- set inner = m.content is defined and m.content.content is defined -%}"
	"{{- '[TOOL_RESULTS] {\"content\": ' + (m.content.content if inner else m.content) | string -}}"
	"{{- ', \"call_id\": \"' + call_id(m.tool_call_id) + '\"}[/TOOL_RESULTS]' -}}"
	"{%- else -%}"
	"{{- raise_exception('Only user and assistant roles are supported, with the exception of an initial optional "
	"system message!') -}}"
	"{%- endif -%}"
	"{%- endfor -%}";

static const char qwen_25[] =
	"{%- set has_system = messages[0]['role'] == 'system' -%}"
	"{{- '<|im_start|>system\\n' -}}"
	"{{- messages[0]['content'] + '' if has_system else 'You are Qwen, created by Alibaba Cloud. You are a "
	"helpful assistant.' -}}"
	"{%- if tools -%}"
	"{{- '\\n\\n# Tools\\n\\nYou may call one or more functions to assist with the user query.\\n\\n' -}}"
	"{{- 'You are provided with function signatures within <tools></tools> XML tags:\\n<tools>' -}}"
	"{%- for tool in tools -%}"
	"{{- '\\n' + tool | tojson -}}"
	"{%- endfor -%}"
	"{{- '\\n</tools>\\n\\nFor each function call, return a json object with function name and arguments ' -}}"
	"{{- 'within <tool_call></tool_call> XML tags:\\n<tool_call>\\n' -}}"
	"{{- '{\"name\": <function-name>, \"arguments\": <args-json-object>}\\n</tool_call>' -}}"
	"{%- endif -%}"
	"{{- '<|im_end|>\\n' -}}"
	"{%- for m in messages -%}"
	"{%- set calls = m.tool_calls if m.role == 'assistant' else none -%}"
	"{%- if m.role == 'user' or m.role == 'system' and not loop.first or m.role == 'assistant' and not calls -%}"
	"{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' -}}"
	"{%- elif m.role == 'assistant' -%}"
	"{{- '<|im_start|>assistant' -}}"
	"{%- if m.content -%}"
	"{{- '\\n' + m.content -}}"
	"{%- endif -%}"
	"{%- for call in calls -%}"
	"{%- set f = call.function if call.function is defined else call -%}"
	"{{- '\\n<tool_call>\\n{\"name\": \"' -}}{{- f.name -}}{{- '\", \"arguments\": ' -}}{{- f.arguments | tojson "
	"-}}{{- '}\\n</tool_call>' -}}"
	"{%- endfor -%}"
	"{{- '<|im_end|>\\n' -}}"
	"{%- elif m.role == 'tool' -%}"
	"{{- '' if loop.previtem is defined and loop.previtem.role == 'tool' else '<|im_start|>user' -}}"
	"{{- '\\n<tool_response>\\n' -}}{{- m.content -}}{{- '\\n</tool_response>' -}}"
	"{{- '' if loop.nextitem is defined and loop.nextitem.role == 'tool' else '<|im_end|>\\n' -}}"
	"{%- endif -%}"
	"{%- endfor -%}"
	"{%- if add_generation_prompt -%}"
	"{{- '<|im_start|>assistant\\n' -}}"
	"{%- endif -%}";

static const char phi_3[] =
	"{{- bos_token -}}"
	"{%- for m in messages -%}"
	"{%- if m['role'] == 'system' -%}"
	"{{- '<|system|>\\n' + m['content'] + '<|end|>\\n' -}}"
	"{%- elif m['role'] == 'user' -%}"
	"{{- '<|user|>\\n' + m['content'] + '<|end|>\\n<|assistant|>\\n' -}}"
	"{%- elif m['role'] == 'assistant' -%}"
	"{{- m['content'] + '<|end|>\\n' -}}"
	"{%- endif -%}"
	"{%- endfor -%}";

static const char phi_35[] =
	"{%- for m in messages -%}"
	"{%- if m['role'] in ['user', 'assistant'] or m['role'] == 'system' and m['content'] -%}"
	"{{- '<|' + m['role'] + '|>\\n' + m['content'] + '<|end|>\\n' -}}"
	"{%- endif -%}"
	"{%- endfor -%}"
	"{%- if add_generation_prompt -%}"
	"{{- '<|assistant|>\\n' -}}"
	"{%- endif -%}";

static const char deepseek_v2[] =
	"{{- bos_token -}}"
	"{%- for m in messages -%}"
	"{%- if m['role'] == 'user' -%}"
	"{{- '<\xef\xbd\x9c" "User\xef\xbd\x9c>' + m['content'] -}}"
	"{%- elif m['role'] == 'assistant' -%}"
	"{{- '<\xef\xbd\x9c" "Assistant\xef\xbd\x9c>' + m['content'] + eos_token -}}"
	"{%- elif m['role'] == 'system' -%}"
	"{{- m['content'] + '\\n\\n' -}}"
	"{%- endif -%}"
	"{%- endfor -%}"
	"{%- if add_generation_prompt -%}"
	"{{- '<\xef\xbd\x9c" "Assistant\xef\xbd\x9c>' -}}"
	"{%- endif -%}";

static const char exaone[] =
	"{%- for m in messages -%}"
	"{%- if loop.first and m['role'] != 'system' -%}"
	"{{- '[|system|][|endofturn|]\\n' -}}"
	"{%- endif -%}"
	"{{- '[|' + m['role'] + '|]' + m['content'] + ('\\n' if m['role'] == 'user' else '[|endofturn|]\\n') -}}"
	"{%- endfor -%}"
	"{%- if add_generation_prompt -%}"
	"{{- '[|assistant|]' -}}"
	"{%- endif -%}";

static const char alpaca[] =
	"{{- bos_token -}}"
	"{%- for m in messages -%}"
	"{%- if m['role'] == 'user' -%}"
	"{{- '### Instruction:\\n' + m['content'] -}}"
	"{%- elif m['role'] == 'assistant' -%}"
	"{{- '### Response:\\n' + m['content'] + eos_token -}}"
	"{%- elif m['role'] == 'system' and loop.first -%}"
	"{{- m['content'] -}}"
	"{%- endif -%}"
	"{{- '' if loop.last else '\\n\\n' -}}"
	"{%- endfor -%}"
	"{%- if add_generation_prompt -%}"
	"{{- '\\n\\n### Response:\\n' -}}"
	"{%- endif -%}";

static const struct {
	const char *name, *text;
} known[] = {
	{ "chatml", chatml },
	{ "llama3", llama3 },
	{ "gemma", gemma },
	{ "gemma3", gemma3 },
	{ "mistral_v1", mistral_v1 },
	{ "mistral_v2v3", mistral_v2v3 },
	{ "qwen_25", qwen_25 },
	{ "phi_3", phi_3 },
	{ "phi_35", phi_35 },
	{ "deepseek_v2", deepseek_v2 },
	{ "exaone", exaone },
	{ "alpaca", alpaca },
};

const char *ax_chat_template_name(size_t i)
{
	return i < sizeof(known) / sizeof(known[0]) ? known[i].name : NULL;
}

const char *ax_chat_template_bundled(const char *name)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(known[i].name, name))
			return known[i].text;
	return NULL;
}

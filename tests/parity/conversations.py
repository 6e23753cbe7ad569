#!/usr/bin/env python3
"""Random conversations through chat templates: our renders against jinja2 set up by transformers.

usage: conversations.py GEN_RENDER N SEED FILE...
FILE is a template, or a tokenizer_config.json whose chat_template (or list of them) is taken. N conversations a template. The text,
the generated ranges, and whether it is an error must be equal. Prints a TAP line a template; differences go to stderr.
"""
import json
import random
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0])
import oracle_jinja as oracle  # noqa: E402

WORDS = ["Hello", "world", "the", "weather", "in", "Paris", "is", "<b>bold</b>", "&amp;", "\"quoted\"", "it's", "{braces}", "{{x}}", "{% if %}",
         "[INST]", "</s>", "<|im_end|>", "<think>", "</think>", "<think>\nhm\n</think>", "<tool_call>", "</tool_call>", "</seed:think>",
         "<tool_response>", "<|channel|>analysis", "<|message|>", "<tool_response>x</tool_response>", "\\n", "\\", "#", "`code`",
         "\U0001F600", "\U0001F468\u200d\U0001F469", "e\u0301", "\u00e9", "\u4e2d\u6587", "\u00df", "\u0130", "\u01c5", "\ufb01", "\u2028",
         "\u00a0", "\u3000", "\x1c", "\x7f", "\u0085", "\ufeff", "\u200b", "\x00", "\x1b", "1e5", "None", "%s", "%(a)d", "a_b", "-", ".", "\U00010400"]
SPACE = [" ", " ", " ", " ", "\n", "\n\n", "\t", "\r\n", "  ", ""]
NAMES = ["get_weather", "ipython", "search", "python", "a b", "", "\u5929\u6c17", "x\"y", "functions.f", "brave_search", "knowledge"]
ROLES = ["user", "assistant", "system", "tool", "developer", "function", "ipython", "model", "tool_response", "observation", "", "User"]
FLOATS = [1e22, 1e16, 1e15, -0.0, 0.0, 0.1, 1e-5, 1e-4, 1.5, 2.0, 123456789.125, 1e300, 5e-324, 3.14, 1e21, 100000.0]
INTS = [0, 1, -1, 7, 42, 2**31, 2**53 + 1, -2**63, 2**63 - 1, 2**63, 2**64, 10**30, -10**25]


class Maker:
    def __init__(self, rng):
        self.r = rng

    def chance(self, p):
        return self.r.random() < p

    def text(self):
        r = self.r
        n = r.choice([0, 1, 1, 2, 3, 5, 8, 15])
        s = "".join(r.choice(WORDS) + r.choice(SPACE) for _ in range(n))
        if self.chance(0.15):
            s = r.choice([" ", "\n", "\t\n ", "\u3000", "\x1f"]) + s
        if self.chance(0.05):
            s += chr(r.choice([r.randrange(0x20, 0xD800), r.randrange(0xE000, 0x110000)]))
        return s if self.chance(0.7) else s.strip()

    def value(self, depth=0):
        r = self.r
        k = r.random()
        if k < 0.35:
            return self.text()
        if k < 0.45:
            return r.choice(INTS)
        if k < 0.55:
            return r.choice(FLOATS)
        if k < 0.65:
            return r.choice([True, False, None])
        if depth > 3:
            return r.choice([[], {}, ""])
        if k < 0.8:
            return [self.value(depth + 1) for _ in range(r.randrange(4))]
        return {self.key(): self.value(depth + 1) for _ in range(r.randrange(4))}

    def key(self):
        return self.r.choice(["a", "b", "name", "type", "value", "items", "city", "k y", "\u00e9", "get", "keys", "x<y", "1", ""])

    def content(self):
        r = self.r
        k = r.random()
        if k < 0.72:
            return self.text()
        if k < 0.77:
            return None
        if k < 0.8:
            return self.value()
        parts = []
        for _ in range(r.randrange(4)):
            k = r.random()
            if k < 0.6:
                parts.append({"type": "text", "text": self.text()})
            elif k < 0.7:
                parts.append({"type": r.choice(["image", "image_url", "video", "audio", "input_image"])})
            elif k < 0.75:
                parts.append({"type": "text", "content": self.text()})
            elif k < 0.8:
                parts.append({"text": self.text()})
            elif k < 0.85:
                parts.append({"type": "image_url", "image_url": {"url": "http://x/" + self.text()}, "image": "y"})
            elif k < 0.9:
                parts.append({"type": r.choice(["thinking", "reasoning"]), "thinking": self.text(), "text": self.text()})
            else:
                parts.append(r.choice([self.text(), self.value(), {"type": "text", "text": self.value()}]))
        return parts

    def arguments(self):
        r = self.r
        k = r.random()
        if k < 0.6:
            return {self.key(): self.value(1) for _ in range(r.randrange(4))}
        if k < 0.9:
            return json.dumps({self.key(): self.value(2) for _ in range(r.randrange(3))}, ensure_ascii=self.chance(0.5))
        return r.choice([None, self.text(), self.value()])

    def calls(self):
        r = self.r
        out = []
        for i in range(r.choice([0, 1, 1, 1, 2, 3])):
            f = {"name": r.choice(NAMES), "arguments": self.arguments()}
            if self.chance(0.05):
                del f[r.choice(list(f))]
            c = {"function": f} if self.chance(0.85) else f
            if self.chance(0.7):
                c["type"] = "function"
            if self.chance(0.7):
                c["id"] = r.choice(["call_%d" % i, "abcdefghi", "123456789", "call_1___"])
            out.append(c)
        return out

    def message(self, role):
        r = self.r
        m = {"role": role}
        if self.chance(0.97):
            m["content"] = self.content()
        if role in ("assistant", "model"):
            if self.chance(0.25):
                m["tool_calls"] = self.calls() if self.chance(0.95) else r.choice([None, [], self.value()])
            if self.chance(0.25):
                m[r.choice(["reasoning_content", "thinking", "reasoning", "thought"])] = self.text() if self.chance(0.93) else self.value()
            if self.chance(0.05):
                m["tool_plan"] = self.text()
            if self.chance(0.03):
                m["prefix"] = self.value()
        if role in ("tool", "function", "ipython", "tool_response", "observation") or self.chance(0.02):
            if self.chance(0.7):
                m["tool_call_id"] = r.choice(["call_0", "abcdefghi", "123456789", "call_1___"])
            if self.chance(0.6):
                m["name"] = r.choice(NAMES)
            if self.chance(0.1):
                m["tool_responses"] = self.value()
        if self.chance(0.03):
            m[self.key()] = self.value()
        if self.chance(0.02):
            m["citations"] = [{"id": 1, "text": self.text()}]
        return m

    def messages(self):
        r = self.r
        if self.chance(0.02):
            return r.choice([[], None, "", self.value()])
        roles = []
        k = r.random()
        if k < 0.8:
            if self.chance(0.45):
                roles.append(r.choice(["system", "system", "system", "developer"]))
            for _ in range(r.choice([1, 1, 1, 2, 2, 3, 5])):
                roles.append("user")
                if self.chance(0.3):
                    for _ in range(r.choice([1, 1, 2])):
                        roles += ["assistant"] + ["tool"] * r.choice([1, 1, 2])
                roles.append("assistant")
            if self.chance(0.35):
                roles.pop()
        else:
            roles = [r.choice(ROLES) for _ in range(r.choice([1, 2, 3, 4, 6]))]
        return [self.message(x) for x in roles]

    def schema(self, depth=0):
        r = self.r
        s = {"type": r.choice(["string", "integer", "number", "boolean", "array", "object", ["string", "null"], "null", "float"])}
        if self.chance(0.7):
            s["description"] = self.text()
        if self.chance(0.2):
            s["enum"] = [self.value(3) for _ in range(r.randrange(4))]
        if self.chance(0.2):
            s["default"] = self.value(2)
        if self.chance(0.1):
            s["nullable"] = r.choice([True, False])
        if self.chance(0.1):
            s[r.choice(["minimum", "maxLength", "format", "title"])] = self.value(3)
        if s["type"] == "array" and self.chance(0.8) and depth < 3:
            s["items"] = self.schema(depth + 1)
        if (s["type"] == "object" or self.chance(0.05)) and depth < 3:
            s["properties"] = {self.key(): self.schema(depth + 1) for _ in range(r.randrange(4))}
            s["required"] = [k for k in s["properties"] if self.chance(0.5)]
        if self.chance(0.08) and depth < 2:
            s[r.choice(["anyOf", "oneOf", "allOf"])] = [self.schema(depth + 1) for _ in range(r.randrange(1, 3))]
        return s

    def tools(self):
        r = self.r
        out = []
        for _ in range(r.choice([0, 1, 1, 2, 3])):
            f = {"name": r.choice(NAMES)}
            if self.chance(0.9):
                f["description"] = self.text()
            if self.chance(0.95):
                f["parameters"] = self.schema()
                if self.chance(0.9):
                    f["parameters"]["type"] = "object"
                    f["parameters"].setdefault("properties", {self.key(): self.schema(1) for _ in range(r.randrange(4))})
            if self.chance(0.1):
                f["return"] = self.schema(2)
            if self.chance(0.05):
                f["response"] = self.schema(2)
            out.append({"type": "function", "function": f} if self.chance(0.9) else f)
        return out

    def context(self):
        r = self.r
        c = {"messages": self.messages(), "tools": None, "documents": None, "add_generation_prompt": self.chance(0.5)}
        if self.chance(0.3):
            c["tools"] = self.tools() if self.chance(0.97) else self.value()
        if self.chance(0.06):
            c["documents"] = [{"title": self.text(), "text": self.text()} for _ in range(r.randrange(3))]
        for k in ("bos_token", "eos_token", "pad_token", "unk_token"):
            if self.chance(0.93):
                c[k] = r.choice(["<s>", "</s>", "<|im_end|>", "<|endoftext|>", "", "<bos>"])
        if self.chance(0.6):
            for _ in range(r.choice([1, 1, 2])):
                k = r.choice(["enable_thinking", "thinking", "keep_thinking", "reasoning_effort", "preserve_thinking", "date_string",
                              "builtin_tools", "tools_in_user_message", "model_identity", "low_effort", "medium_effort", "force_reasoning",
                              "truncate_history_thinking", "skip_think", "training_prompt", "custom_tools", "xml_tools", "python_tools",
                              "thinking_budget", "controls", "available_tools", "citation_mode", "safety_mode", "continue_final_message",
                              "add_vision_id", "image_count", "system_message", "default_system_message", "functions", "max_thinking_length",
                              "thinking_mode", "enable_citations", "clear_thinking", "today", "strict", "chat_template_kwargs"])
                c[k] = r.choice([True, False, True, False, None, "high", "low", "medium", "on", self.text(), self.value(), ["brave_search", "code_interpreter"]])
        return c


def templates(path):
    text = open(path, encoding="utf-8", newline="").read()
    if not path.endswith(".json"):
        return [("/".join(path.rsplit("/", 2)[-2:]), text)]
    t = json.loads(text).get("chat_template")
    name = path.rsplit("/", 2)[-2]
    if isinstance(t, str):
        return [(name, t)]
    return [("%s:%s" % (name, x["name"]), x["template"]) for x in t or []]


def same(got, want):
    if got is None or ("error" in got) != ("error" in want):
        return False
    if "error" in got:
        return not got["error"].startswith("spans")
    return got["text"] == want["text"] and got["generation"] == oracle.merged(want["generation"])


def main():
    program, n, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    ours = oracle.Ours(program)
    number = bad = total = 0
    for path in sys.argv[4:]:
        for name, source in templates(path):
            number += 1
            maker = Maker(random.Random("%s %s" % (seed, name)))
            template, broken = oracle.compiled(source)
            ours.template(source)
            differ = errors = worded = 0
            for _ in range(n):
                context = maker.context()
                blob = json.dumps(context).encode()
                got = ours.ask(blob)
                want = oracle.render(template, json.loads(blob)) if template else {"error": broken}
                errors += "error" in want
                if got is None:
                    ours.template(source)
                if same(got, want):
                    worded += "error" in got and got["error"] != want["error"]
                    continue
                differ += 1
                if differ <= 2:
                    print("%s: %s\n ours   %a\n theirs %a" % (name, blob.decode(), got, want), file=sys.stderr)
            total += n
            bad += differ > 0
            print("%sok %d - %s, %d conversations, %d errors%s%s" % ("not " if differ else "", number, name, n, errors,
                  ", %d worded otherwise" % worded if worded else "", ", %d differ" % differ if differ else ""), flush=True)
    print("#= %d conversations, %d templates, %d with differences" % (total, number, bad))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

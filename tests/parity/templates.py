#!/usr/bin/env python3
"""Built-in chat templates against Axolotl's of the same names, rendered by jinja2 as transformers does.

usage: templates.py AX_TOKENIZE FOLDER N SEED
Random conversations with system turns, parts, reasoning, tools, calls and results, documents and settings. One TAP line a
template. A conversation that the other template refuses may be rendered by ours, of those in WIDER; all else must agree.
"""
import datetime
import json
import os
import random
import subprocess
import sys

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = datetime.datetime(2026, 7, 4, 12)
# template: what the other one fails with where ours goes on
WIDER = {
    "deepseek_v3": "can only concatenate str",  # arguments that are objects
    "qwen3_5": "'NoneType' object is not iterable",  # a turn without content
    "qwen_25": "can only concatenate str",  # a system text of parts is written as it is
    "pixtral": "'eos_token' is undefined",
}
TEXT = ["hi", "2+2?", " lead", "trail ", "", "\n\nx", "\u00e9\u65e5\u672c", "<think>\nr\n</think>\n\nans", "</think>", "<think>x",
        "<tool_response>q</tool_response>", "<|im_end|>", "  ", "a</think>b</think>c", "<|channel>thought\nz\n<channel|>out",
        "<|channel>open", "x\n", "quote\"s'", "\u00a0nb\u00a0", "{{ x }}"]
IDS = ["abcdefghi", "123456789", "call_1"]


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(["name:endgeneration"], drop_needle=True)


def environment():
    def refuse(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    e = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    e.filters["tojson"] = tojson
    e.globals["raise_exception"] = refuse
    e.globals["strftime_now"] = NOW.strftime
    return e


class Source:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def often(self, p):
        return self.r.random() < p

    def text(self):
        return "".join(self.r.choice(TEXT) for _ in range(1 if self.often(0.8) else 2))

    def content(self, parts):
        if not parts or self.often(0.6):
            return self.text()
        return [{"type": "text", "text": self.text()} if self.often(0.85) else {"type": "image"} for _ in range(self.r.randint(0, 3))]

    def value(self):
        return self.r.choice([1, 2.5, True, None, "s", "\u00fc", [1, "a"], {"k": 1, "B": [True]}, {}])

    def call(self):
        args = self.r.choice([{"a": 1}, {"b": self.value(), "A": self.value()}, {}, '{"a": 1}'])
        c = {"type": "function", "function": {"name": self.r.choice(["get", "f2"]), "arguments": args}}
        if self.often(0.8):
            c["id"] = self.r.choice(IDS)
        return c

    def schema(self, depth=2):
        t = self.r.choice(["string", "integer", "object", "array", "number", "boolean", ["string", "null"]])
        p = {"type": t}
        for key, v, share in (("description", "d", 0.6), ("enum", ["x", "y"], 0.3), ("nullable", True, 0.2)):
            if self.often(share):
                p[key] = v
        if t == "array" and self.often(0.8):
            p["items"] = self.schema(depth - 1) if depth else {"type": "string", "x": None, "required": ["q"]}
        if t == "object" and depth:
            if self.often(0.7):
                p["properties"] = {k: self.schema(depth - 1) for k in self.r.sample("abcd", 2)}
            if self.often(0.5):
                p["required"] = ["a"]
        return p

    def tool(self):
        f = {"name": self.r.choice(["get", "f2"]), "description": self.r.choice(['Does "it".', "\u00fc"])}
        if self.often(0.9):
            names = self.r.sample(["city", "Unit", "n"], self.r.randint(0, 3))
            f["parameters"] = {"type": "object", "properties": {k: self.schema() for k in names}}
            if self.often(0.6):
                f["parameters"]["required"] = ["city"]
        if self.often(0.2):
            f["return"] = "x"
        if self.often(0.2):
            f["response"] = {"type": self.r.choice(["object", "string"]), **({"description": "r"} if self.often(0.5) else {})}
        return {"type": "function", "function": f}

    def assistant(self, m, tools):
        if self.often(0.2):
            m["reasoning_content"] = self.r.choice(["why", "", "\n\nmm\n"])
        if tools and self.often(0.5):
            m["tool_calls"] = [self.call() for _ in range(self.r.randint(0 if self.often(0.1) else 1, 2))]
            if self.often(0.3):
                m["content"] = self.r.choice([None, ""])

    def messages(self):
        plain, tools, parts = self.often(0.6), self.often(0.6), self.often(0.3)
        out = [{"role": "system", "content": self.content(parts)}] if self.often(0.4) else []
        for i in range(self.r.randint(0 if out else 1, 6)):
            role = ("user", "assistant")[i % 2]
            if not plain:
                role = self.r.choice(["user", "assistant", "assistant", "tool", "system", "user", "ipython", "developer"])
            m = {"role": role, "content": self.content(parts)}
            if role == "assistant":
                self.assistant(m, tools)
            if role == "tool":
                m["tool_call_id"] = self.r.choice(IDS)
                if self.often(0.5):
                    m["name"] = "get"
            out.append(m)
            if self.often(0.8):
                for c in m.get("tool_calls", []):
                    out.append({"role": "tool", "content": self.content(parts), "tool_call_id": c.get("id", "call_1")})
        return out

    def context(self):
        c = {"messages": self.messages(), "add_generation_prompt": self.often(0.3)}
        rare = {"bos_token": ("<s>", 0.9), "eos_token": ("</s>", 0.9), "enable_thinking": (self.often(0.5), 0.15),
                "real_last_index": (self.r.randint(0, 8), 0.1), "tools_in_user_message": (False, 0.05), "skip_think": (False, 0.05),
                "documents": ([{"title": "T", "text": "x", "author": "me"}, {"text": "y"}], 0.1), "safety_mode": ("strict", 0.05),
                "knobs": ({"is_set": True, "citation_mode": "fast", "response_format": "json_object"}, 0.05),
                "enable_citations": (True, 0.05), "date_string": ("1 Jan 2020", 0.05), "add_vision_id": (True, 0.05)}
        for key, (v, share) in rare.items():
            if self.often(share):
                c[key] = v
        if self.often(0.3):
            c["tools"] = [self.tool() for _ in range(self.r.randint(0, 2))]
        return c


def ours(tool, name, lines):
    p = subprocess.run([tool, "-q", "--render", "--template", name, "--now", NOW.isoformat()], input=lines, capture_output=True)
    if p.returncode not in (0, 1):
        sys.exit(p.stderr.decode())
    return [json.loads(x) for x in p.stdout.decode().split("\n")[:-1]]


def theirs(template, context):
    try:
        return template.render(**context)
    except Exception as x:  # whatever a template raises is a refusal
        return {"error": str(x)}


def main():
    tool, folder, n, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    source = Source(seed)
    contexts = [source.context() for _ in range(n)]
    lines = "".join(json.dumps(c) + "\n" for c in contexts).encode()
    env, failed = environment(), 0
    for number, name in enumerate(sorted(os.listdir(folder)), 1):
        name = name[:-len(".jinja")]
        with open(os.path.join(folder, name + ".jinja"), encoding="utf-8") as f:
            template = env.from_string(f.read())
        bad = refused = wider = 0
        for c, mine in zip(contexts, ours(tool, name, lines), strict=True):
            other = theirs(template, c)
            if isinstance(other, dict) and isinstance(mine, dict):
                refused += 1
            elif isinstance(other, dict) and name in WIDER and WIDER[name] in other["error"]:
                wider += 1
            elif mine != other:
                bad += 1
                if bad == 1:
                    print(json.dumps({"context": c, "ours": mine, "theirs": other}), file=sys.stderr)
        failed += bad > 0
        print(f"{'not ' if bad else ''}ok {number} - {name}: {n} conversations, {bad} differ, {refused} refused by both, {wider} by theirs alone")
    print(f"1..{number}")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())

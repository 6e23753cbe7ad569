#!/usr/bin/env python3
"""Write cases.json: what jinja2, set up as transformers sets it up for chat templates, makes of templates.txt.

Each line of templates.txt is one template (\\N stands for a newline); all are rendered with the context below.
usage: python3 make.py (needs jinja2 3.1; no transformers)
"""
import datetime
import json
import os
import sys

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

CONTEXT = {
    "s": "Hello Wörld ß ﬁ İ", "e": "", "n": None, "i": 42, "neg": -7, "f": 3.14, "z": 0.0, "big": 1e22, "small": 1e-7, "t": True,
    "l": [3, 1, 2], "ls": ["b", "A", "c", "a"], "d": {"b": 1, "a": "x", "C": None}, "dd": {"x": {"y": [1, {"z": "q"}]}},
    "users": [{"name": "Bob", "age": 30, "c": {"k": 1}}, {"name": "alice", "age": 25, "c": {"k": 2}},
              {"name": "Carl", "age": 30, "c": {"k": 1}}],
    "html": "<a href='x'>&\"</a>", "ws": "  \t a b\n c \u2003", "multi": "one\ntwo\r\n\nthree\n", "jp": "日本語テキスト", "emo": "a😀b",
    "q": "it's", "qq": "say \"hi\" it's", "ctl": "\x00\x07\x1b\x7f\x85\xa0\u200b\ufeff\u2028é",
}
NOW = datetime.datetime(2025, 7, 10, 12, 0, 0)


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("body"), [], [], body).set_lineno(line)

    def body(self, caller):
        return caller()


class Namespace(jinja2.utils.Namespace):
    """Refuses names that start with an underscore, as transformers' does."""

    def __init__(*args, **kwargs):
        for name in dict(*args[1:], **kwargs):
            check(name)
        jinja2.utils.Namespace.__init__(*args, **kwargs)

    def __setitem__(self, name, value):
        check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)


def check(name):
    if name.startswith("_"):
        raise jinja2.exceptions.SecurityError(
            f"Chat templates cannot store underscore-prefixed attributes on a namespace, but got {name!r}. "
            "Please rename the attribute.")


def fail(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals.update(raise_exception=fail, strftime_now=NOW.strftime, namespace=Namespace)
    return env


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    env, cases = environment(), []
    for line in open(os.path.join(here, "templates.txt"), encoding="utf-8").read().split("\n"):
        if not line:
            continue
        case = {"template": line.replace("\\N", "\n")}
        try:
            case["expected"] = env.from_string(case["template"]).render(**CONTEXT)
        except Exception as e:
            case["error"] = f"{type(e).__name__}: {e}".split(" (<template>")[0]
        if " at 0x" in case.get("expected", ""):
            case["expected"] = case["expected"].split(" at 0x")[0]
            case["prefix"] = True
        cases.append(case)
    out = {"jinja2": jinja2.__version__, "now": NOW.isoformat(), "context": CONTEXT, "cases": cases}
    with open(os.path.join(here, "cases.json"), "w", encoding="utf-8") as f:
        json.dump(out, f, ensure_ascii=True, indent=1)
    print(len(cases), "cases", file=sys.stderr)


main()

#!/usr/bin/env python3
"""Loss masks of random conversations, held against what the rendered text shows.

usage: mask_random.py AX_TOKENIZE ROWS SEED TOKENIZER_DIR... -- TEMPLATE...
Each text of a conversation begins and ends with a word of its own, so that its place in the rendering is known without
asking who rendered it. Python renders (jinja2 as transformers sets it up) and tokenizes (Hugging Face tokenizers); ids
must be equal. A token within an answer, its reasoning or its calls must be trained, a token within any other text must
not; tokens that reach into both are left out. One TAP line a template, for all tokenizers.
"""
import json
import os
import random
import subprocess
import sys
import tempfile

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tokenizers  # noqa: E402
from transformers.utils.chat_template_utils import _compile_jinja_template  # noqa: E402

WORDS = ["the", "Answer", "is", "42", "3.14", "na\u00efve", "\u65e5\u672c\u8a9e", "\U0001F600", "\U0001F9FF\U00013000", "e\u0301t\u00e9", "\uac00\uac01", "x=1;",
         "\u0645\u0631\u062d\u0628\u0627", "\n\n", "\t", "  ", "don't", "[[", "]]", "{}", "http://a.b/c?d=e", "\u00df", "_", "--", "\u00a0"]


class Maker:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.n = 0
        self.spans = []  # (first word, last word, trained)

    def text(self, trained):
        self.n += 1
        a, b = "qz%da" % self.n, "qz%db" % self.n
        self.spans.append((a, b, trained))
        return "".join([a, " ", " ".join(self.rng.choice(WORDS) for _ in range(self.rng.randint(0, 12))), " ", b])

    def answer(self, tools, last):
        r = self.rng
        m = {"role": "assistant", "content": self.text(True)}
        if r.random() < 0.3:
            m["reasoning_content"] = self.text(True)
        if tools and not last and r.random() < 0.6:
            m["tool_calls"] = [{"type": "function", "id": "call%05d" % r.randrange(99999), "function": {"name": "search", "arguments": {"query": self.text(True)}}}]
            if r.random() < 0.5:
                m["content"] = ""
        return m

    def conversation(self):
        self.spans = []
        r = self.rng
        out = []
        row = {"messages": out}
        tools = r.random() < 0.3
        if tools:
            row["tools"] = [{"type": "function", "function": {"name": "search", "description": self.text(False), "parameters": {
                "type": "object", "properties": {"query": {"type": "string", "description": "what"}}, "required": ["query"]}}}]
        if r.random() < 0.4:
            out.append({"role": "system", "content": self.text(False)})
        turns = r.randint(1, 4)
        for t in range(turns):
            out.append({"role": "user", "content": self.text(False)})
            m = self.answer(tools, False)
            out.append(m)
            if "tool_calls" in m:
                out.append({"role": "tool", "name": "search", "tool_call_id": m["tool_calls"][0]["id"], "content": self.text(False)})
                out.append(self.answer(tools, True))
        return row, self.spans


def special(config):
    out = {}
    for k in ("bos_token", "eos_token", "pad_token", "unk_token"):
        v = config.get(k)
        v = v.get("content") if isinstance(v, dict) else v
        if v:
            out[k] = v
    return out


def wrong_tokens(text, enc, labels, spans):
    """Indices of tokens whose label contradicts the text."""
    kinds = [None] * len(text)
    for a, b, trained in spans:
        i, j = text.find(a), text.find(b)
        if i < 0 or j < i or text.find(a, i + 1) >= 0 or text.find(b, j + 1) >= 0:
            continue
        for k in range(i, j + len(b)):
            kinds[k] = trained
    bad = []
    for i, (a, b) in enumerate(enc.offsets):
        seen = {k for k in kinds[a:b] if k is not None}
        if len(seen) == 1 and i and (labels[i] != -100) != seen.pop():
            bad.append(i)
    return bad


def one(program, folder, path, rows, seed):
    """Differences for a tokenizer and a template; None where no row was left."""
    config_path = os.path.join(folder, "tokenizer_config.json")
    config = json.load(open(config_path)) if os.path.exists(config_path) else {"bos_token": "<s>", "eos_token": "</s>"}
    names = special(config)
    tok = tokenizers.Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    tok.no_padding()
    tok.no_truncation()
    make = Maker(seed)
    made = [make.conversation() for _ in range(rows)]
    with tempfile.TemporaryDirectory() as tmp:
        data, conf = os.path.join(tmp, "rows.jsonl"), os.path.join(tmp, "run.yaml")
        with open(data, "w") as f:
            f.writelines(json.dumps(r) + "\n" for r, _ in made)
        json.dump({"base_model": folder, "sequence_len": 100000, "chat_template": "jinja", "chat_template_jinja": path, "special_tokens": names,
                   "datasets": [{"path": data, "type": "chat_template"}]}, open(conf, "w"))
        run = subprocess.run([program, "-c", conf, "-p", "-a", "-q", "--max-bad", "100%"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = run.stdout.splitlines()
    if len(lines) != rows:
        return ["status %d, %d lines: %s" % (run.returncode, len(lines), run.stderr[-300:])], 0
    template = _compile_jinja_template(open(path).read())
    out, good = [], 0
    for i, ((row, spans), line) in enumerate(zip(made, lines)):
        got = json.loads(line)
        try:
            text = template.render(messages=row["messages"], tools=row.get("tools"), add_generation_prompt=False, **names)
        except Exception:
            if "input_ids" in got:
                out.append("row %d: the template refuses it, we do not" % i)
            continue
        if "input_ids" not in got:
            if got.get("dropped") not in ("nothing_trained", "empty", "too_short"):
                out.append("row %d: %s" % (i, line[:200]))
            continue
        enc = tok.encode(text, add_special_tokens=False)
        if enc.ids != got["input_ids"]:
            out.append("row %d: other ids" % i)
            continue
        bad = wrong_tokens(text, enc, got["labels"], spans)
        if bad:
            a, b = enc.offsets[bad[0]]
            out.append("row %d: %d tokens; first %d %s: ...%r [%r] %r..." % (i, len(bad), bad[0], "trained" if got["labels"][bad[0]] != -100 else "not trained",
                                                                     text[max(0, a - 60):a], text[a:b], text[b:b + 40]))
        good += 1
    return out, good


def main():
    program, rows, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    split = sys.argv.index("--")
    failed = 0
    for n, path in enumerate(sys.argv[split + 1:], 1):
        bad, good = [], 0
        for folder in sys.argv[4:split]:
            b, g = one(program, folder, path, rows, seed)
            bad += ["%s: %s" % (os.path.basename(folder), x) for x in b]
            good += g
        failed += bool(bad)
        name = "/".join(path.split("/")[-2:])
        print("%s %d - %s, %d rows%s" % ("not ok" if bad else "ok", n, name, good, ", %d differ" % len(bad) if bad else ""), flush=True)
        for x in bad[:3]:
            print("# " + x, flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

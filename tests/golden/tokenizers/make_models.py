#!/usr/bin/env python3
"""Make the small Unigram, WordPiece and WordLevel tokenizers and SentencePiece models of this folder, and models.json: the
ids that the package tokenizers 0.23.2 gives, and transformers 5 for the .model files.

Everything here is our own; the training text is make.py's. Needs transformers, sentencepiece and protobuf. usage: make_models.py
(in this folder)
"""
import io
import json
import os
import random
import re
import sys
import tempfile

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
sys.path.insert(0, "../../parity")
import sentencepiece  # noqa: E402
from random_tokenizers import build_charsmap  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

TEXT = re.search(r'TEXT = """(.*?)"""', open("make.py", encoding="utf-8").read(), re.S).group(1).replace("\\t", "\t").replace('\\"', '"').split("\n")
WORDS = [w for w in re.findall(r"\w+|[^\w\s]", "\n".join(TEXT)) if w]
CLUSTERS = ["e\u0301", "\u0915\u094d\u0937", "\u0928\u093f", "\U0001F468\u200d\U0001F469", "\u00a9\u200d\u00ae", "\U0001F1E6\U0001F1E7", "\u1112\u1161\u11ab", "\u1100\uac01", "\r\n", "\r\u0301",
            "\u0600a", "\u0e33", "a\u0308\u0323", "\u0915\u0301", "\u0915\u094d\u0915\u0301", "\u094d\u0915\u0301", "\u00a9\u0301\u200d\u00a9", "\u200d", "\u0301", "\x00", "\ufb01", "\u2460"]
MAP = {"\ufb01": "fi", "\u2460": "1", "e\u0301": "\u00e9", "\u0301": "", "\u00a9": "(c)", "\u0915": "k", "\u200d": " ", "\t": " ", "\n": " ", "\r": "", "\u3000": " ", "\uff21": "A",
       "A": "a", "\u1112": "h", "\u0600": "", "a\u0308": "\u00e4", "\u0e33": "\u0e4d\u0e32"}


def file(model, normalizer=None, pre=None, post=None, added=()):
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [dict(flags, id=i, content=c) for i, c in added],
            "normalizer": normalizer, "pre_tokenizer": pre, "post_processor": post, "decoder": None, "model": model}


def template(single, ids):
    def piece(x):
        return {"Sequence": {"id": x[1], "type_id": 0}} if x[0] == "$" else {"SpecialToken": {"id": x, "type_id": 0}}

    return {"type": "TemplateProcessing", "single": [piece(x) for x in single], "pair": [piece("$A"), piece("$B")],
            "special_tokens": {k: {"id": k, "ids": v, "tokens": [k] * len(v)} for k, v in ids.items()}}


def subwords(prefix, count):
    """Characters of the text, and random parts of its words, those inside with the prefix."""
    rnd, out = random.Random(3), {}
    for c in sorted(set("".join(WORDS)))[:90]:
        out[c] = out[prefix + c] = 1
    while len(out) < count:
        w = rnd.choice(WORDS)
        a = rnd.randrange(len(w))
        out[("" if a == 0 else prefix) + w[a:a + rnd.randint(2, 5)]] = 1
    return list(out)


def files():
    rnd = random.Random(5)
    space, wordpiece = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}, subwords("##", 330)
    parts = ["<pad>", "</s>", "<unk>"] + subwords("", 250) + ["\u2581"] + ["\u2581" + w for w in sorted(set(WORDS))[:90]]
    parts += ["aa", "aaa", "aaaa", "ab", "ba", "aba"]
    parts = list(dict.fromkeys(parts))
    ties = [[p, 0 if i < 3 else -rnd.randint(1, 4)] for i, p in enumerate(parts)]
    real = [[p, 0.0 if i < 3 else round(rnd.uniform(-14, -1), rnd.choice([3, 17, 17]))] for i, p in enumerate(parts)]
    meta = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}
    byte_pieces = [["<0x%02X>" % b, -9.5] for b in range(256)]
    yield "unigram-map", file({"type": "Unigram", "unk_id": 2, "vocab": real, "byte_fallback": False}, {"type": "Sequence", "normalizers": [
        {"type": "Precompiled", "precompiled_charsmap": build_charsmap({k.encode(): v.encode() for k, v in MAP.items()})}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
        {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, meta]}, template(["$A", "</s>"], {"</s>": [1]}), [(1, "</s>")])
    yield "unigram-bytes", file({"type": "Unigram", "unk_id": 2, "vocab": ties + byte_pieces, "byte_fallback": True}, space, None, None, [(0, "<pad>")])
    yield "unigram-ties", file({"unk_id": 2, "vocab": ties}, None, dict(meta, prepend_scheme="first", split=False))
    vocab = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]"] + wordpiece)}
    bert = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}
    yield "wordpiece-bert", file({"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 20, "vocab": vocab},
                                 None, {"type": "BertPreTokenizer"}, bert, [(2, "[CLS]"), (3, "[SEP]")])
    words = {w: i for i, w in enumerate(["[UNK]", "<a>", "<b>"] + sorted(set(WORDS)))}
    post = {"type": "Sequence", "processors": [template(["T", "$A", "E", "U"], {"T": [1, 2], "E": [], "U": [2]}),
                                               {"type": "RobertaProcessing", "sep": ["s", 0], "cls": ["c", 2], "trim_offsets": False, "add_prefix_space": True}]}
    marked = {w: i for i, w in enumerate(["[UNK]", "\u2581", "\u2581\u2581"] + ["\u2581" + w for w in sorted(set(WORDS))] + ["\u2581a", "a"])}
    yield "wordlevel-meta", file({"type": "WordLevel", "vocab": marked, "unk_token": "[UNK]"}, None, meta)
    yield "wordlevel-scripts", file({"vocab": words, "unk_token": "[UNK]"}, None, {"type": "Sequence", "pretokenizers": [
        {"type": "WhitespaceSplit"}, {"type": "UnicodeScripts"}, {"type": "Punctuation", "behavior": "Isolated"}]}, post)


def inputs():
    rnd = random.Random(11)
    parts = WORDS + CLUSTERS * 3 + [" ", " ", "  ", "\u3000", "a" * 9, "abab", "\u30ab\u30bf\u30ab\u30ca\u30fc\u3068", "\u0416z", "1a2", "</s>", "<unk>", "[CLS]", "<pad>", "<0x41>", "\u0378", "\u2581"]
    out = ["", " ", "\r\n"] + CLUSTERS + TEXT[:8] + ["a" * 40, "aba" * 9]
    tail = ["a  a", "  a a ", "\u2581\u2581a \u2581 a", "a\u2581\u2581", " \u2581 ", "ABAB Ab\tA", "AAAA" * 5, "xA\rA\n\nA"]  # marks side by side; what the map makes of ASCII
    return out + ["".join(rnd.choice(parts) + rnd.choice(["", "", " "]) for _ in range(rnd.randint(2, 14))) for _ in range(70)] + tail


def spiece(kind, **more):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(TEXT), model_writer=model, vocab_size=520 if more.get("byte_fallback") else 260, model_type=kind,
                                             normalization_rule_name="identity", minloglevel=2, hard_vocab_limit=False, character_coverage=0.98, num_threads=1, **more)
    return model.getvalue()


def main():
    texts = inputs()
    golden = {"inputs": texts, "ids": {}, "ranges": {}, "spm": {}}
    for name, f in files():
        with open(name + ".json", "w", encoding="utf-8") as out:
            json.dump(f, out, ensure_ascii=False, separators=(",", ":"))
        t = Tokenizer.from_file(name + ".json")
        golden["ids"][name] = [[t.encode(x, add_special_tokens=False).ids, t.encode(x).ids] for x in texts]
        if f["normalizer"] is None and not f["model"].get("byte_fallback"):
            golden["ranges"][name] = [[[len(x[:a].encode()), len(x[:b].encode())] for a, b in t.encode(x, add_special_tokens=False).offsets] for x in texts]
    for name, data in (("spm-unigram", spiece("unigram", user_defined_symbols=["<user>"])), ("spm-bpe", spiece("bpe", byte_fallback=True, control_symbols=["<ctl>"]))):
        with open(name + ".model", "wb") as out:
            out.write(data)
        for what, config in (("plain", {"add_eos_token": True}), ("llama", {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "pad_token": "<pad>"}),
                             ("same names", {"tokenizer_class": "LlamaTokenizer", "bos_token": "<X>", "eos_token": "<X>", "cls_token": "x", "add_bos_token": True,
                                             "add_eos_token": True}),
                             ("gemma", {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True})):
            with tempfile.TemporaryDirectory() as tmp:
                with open(os.path.join(tmp, "tokenizer.model"), "wb") as out:
                    out.write(data)
                with open(os.path.join(tmp, "tokenizer_config.json"), "w") as out:
                    json.dump(config, out)
                t = AutoTokenizer.from_pretrained(tmp)
                golden["spm"][name + " " + what] = {"file": name + ".model", "config": config, "ids": [t.encode(x + "<user>x<ctl>") for x in texts]}
    with open("models.json", "w") as out:
        json.dump(golden, out, separators=(",", ":"))


main()

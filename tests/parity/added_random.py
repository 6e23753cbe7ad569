#!/usr/bin/env python3
"""Texts full of added tokens against Hugging Face tokenizers 0.23.2: ids.

usage: added_random.py GEN_IDS ROUNDS SEED TOKENIZER.json...
Each round gives a tokenizer's file a random set of added tokens (special or not, lstrip, rstrip, single_word, normalized; some
begin others, some are white space, some another spelling of the same characters) and sometimes another normalizer, and encodes
texts of words, white space, characters that forms change, and these tokens: beside each other, overlapping, cut, at both ends. A text that makes Hugging Face's code panic is left out.
Prints one TAP line a tokenizer; the first differences are described on stderr.
"""
import json
import os
import random
import sys
import tempfile

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tokenizers  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from differential import ours  # noqa: E402

CONTENTS = ["<|im_start|>", "<|im_end|>", "<|im|>", "<|im_start|><|im_end|>", "<|", "<a>", "<a><b>", "<b>", "<a longer token than keys are>", "\n", "\n\n",
            " ", "  ", " x", "x ", "ab", "abc", "the", "\u00e9", "e\u0301", "\u4e2d\u6587", "\u6587", "\u65e5\u672c\u8a9e\u65e5\u672c\u8a9e", "\U0001F600", "<A>", "don't", "1", "12",
            "\u2581the", "\ufb01", "<think>", "</think>", "\t", "\u00a0"]
WORDS = ["the", " the", " quick", "fox", "a", "b", "x", "<", "|", ">", "im_start", " im_end", "e\u0301", "\u00e9", "\u0301", "\ufb01", "ABC", "Abc", "don't", "'s", " 12", "345", "1", " ", "  ", "\n", "\n\n",
         "\r\n", "\t", "\u00a0", "\u3000", "\u4e2d\u6587", "\u65e5\u672c\u8a9e\u4e2d\u6587\u5b57\u7b26", "\u3042\u3044\u3046\u3048\u304a", "\uac00\uac01", "\u1100\u1161", "\U0001F600", "\u00df", "caf\u00e9", "na\u00efve", "\u212b", "averyverylongwordwithoutanend" * 2,
         " = ", "!!", "?\n", ". ", "\u0663", "_", "\u200d", "\u0344"]
NORMALIZERS = [{"type": "NFC"}, {"type": "NFKC"}, {"type": "NFD"}, {"type": "Lowercase"}, {"type": "Strip", "strip_left": True, "strip_right": True},
               {"type": "Replace", "pattern": {"String": "a"}, "content": "bb"}, None]


def added(rng, first):
    out = []
    for i, c in enumerate(rng.sample(CONTENTS, rng.randint(1, 12))):
        out.append({"id": first + i, "content": c, "single_word": rng.random() < 0.2, "lstrip": rng.random() < 0.25, "rstrip": rng.random() < 0.25,
                    "normalized": rng.random() < 0.3 and not c.isspace(), "special": rng.random() < 0.4})  # one that is stripped to nothing matches without end
    return out


def text(rng, names):
    often = rng.choice([0.05, 0.2, 0.6, 0.95])
    out = []
    for _ in range(rng.choice([1, 2, 5, 20, 100, 1500])):
        if rng.random() < often:
            t = rng.choice(names)
            out.append(t if rng.random() < 0.9 else t[:rng.randrange(len(t) + 1)])
        else:
            out.append(rng.choice(WORDS))
    return "".join(out)


def theirs(tok, s):
    """None: their code panics, where tokens that overlap are left out of a text."""
    try:
        return tok.encode(s, add_special_tokens=False).ids
    except BaseException as e:
        if type(e).__name__ != "PanicException":
            raise
        return None


def one_round(program, spec, rng, folder):
    """How many texts, and how many of them differ."""
    spec = dict(spec)
    vocab = spec["model"]["vocab"]
    first = (max(vocab.values()) if isinstance(vocab, dict) else len(vocab)) + 1
    spec["added_tokens"] = added(rng, first)
    if rng.random() < 0.4:
        spec["normalizer"] = rng.choice(NORMALIZERS)
    spec["post_processor"] = spec["truncation"] = spec["padding"] = None
    path = os.path.join(folder, "tokenizer.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(spec, f)
    tok = tokenizers.Tokenizer.from_file(path)
    names = [t["content"] for t in spec["added_tokens"]]
    batch = [text(rng, names) for _ in range(40)]
    got = ours(program, path, batch)
    bad = total = 0
    for i, s in enumerate(batch):
        want = theirs(tok, s)
        if want is None:
            continue
        total += 1
        if got is None or got[i] != want:
            bad += 1
            if bad == 1:
                print("%a\n normalizer %s, added %s" % (s[:300], spec["normalizer"], json.dumps(spec["added_tokens"])), file=sys.stderr)
                if got is not None:
                    k = next((k for k, (x, y) in enumerate(zip(got[i], want)) if x != y), min(len(got[i]), len(want)))
                    print(" id %d: ours %s, theirs %s" % (k, got[i][k:k + 8], want[k:k + 8]), file=sys.stderr)
    return total, bad


def main():
    program, rounds, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(sys.argv[4:], 1):
            name = os.path.basename(os.path.dirname(path))
            rng = random.Random("%d %s" % (seed, name))
            with open(path, encoding="utf-8") as f:
                spec = json.load(f)
            total = bad = 0
            for _ in range(rounds):
                n, differ = one_round(program, spec, rng, folder)
                total += n
                bad += differ
            failed += bad > 0
            print("%s %d - %s, %d texts full of added tokens%s" % ("not ok" if bad else "ok", number, name, total, ", %d differ" % bad if bad else ""), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

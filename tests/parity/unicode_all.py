#!/usr/bin/env python3
"""Normalizers and pre-tokenizers over all scalar values, and over random sequences of those that act on one another, against Hugging
Face tokenizers 0.23.2.

usage: unicode_all.py GEN_IDS SEED SEQUENCES
The model has a token for each byte, so that ids are the bytes of the normalized text; behind a pre-tokenizer, Metaspace marks where
pieces begin. Prints a TAP line a component; differences go to stderr.
"""
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import unicodedata

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tokenizers  # noqa: E402

BERT = {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
NORMALIZERS = [{"type": t} for t in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt")] + [
    dict(BERT, clean_text=True), dict(BERT, handle_chinese_chars=True), dict(BERT, strip_accents=True), dict(BERT, lowercase=True, strip_accents=None),
    {"type": "Strip", "strip_left": True, "strip_right": True},
    {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}]}]
SPLITS = [{"type": "Whitespace"}, {"type": "WhitespaceSplit"}, {"type": "BertPreTokenizer"}, {"type": "Digits", "individual_digits": True},
          {"type": "Digits", "individual_digits": False}, {"type": "UnicodeScripts"}] + [
    {"type": "Punctuation", "behavior": b} for b in ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous")]
MARK = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": False}


def texts(rng, n):
    scalars = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    out = ["\n".join("a%cb" % c for c in scalars[i:i + 64]) for i in range(0, len(scalars), 64)]
    out += ["%ca%c" % (c, c) for c in range(0x3100)]
    active = [c for c in scalars if unicodedata.combining(chr(c)) or unicodedata.decomposition(chr(c))]
    active += list(range(0x1100, 0x1200)) + [0xAC00, 0xAC01, 0xAC1C, 0xD7A3, 0x41, 0x61, 0x20, 0x3A3, 0x130, 0xDF, 0x345, 0x200D, 0xFB01] * 20
    return out + ["".join(chr(rng.choice(active)) for _ in range(rng.randint(1, 12))) for _ in range(n)]


def theirs(path, batch):
    tok = tokenizers.Tokenizer.from_file(path)
    return [tok.encode(s, add_special_tokens=False).ids for s in batch]


def ours(program, path, batch):
    raw = [s.encode() for s in batch]
    run = subprocess.run([program, path], input=b"".join(struct.pack("<I", len(r)) + r for r in raw), stdout=subprocess.PIPE)
    ids, a = [], 0
    while a < len(run.stdout):
        n, = struct.unpack_from("<I", run.stdout, a)
        ids.append(list(struct.unpack_from("<%dI" % n, run.stdout, a + 4)))
        a += 4 + 4 * n
    return ids if run.returncode == 0 else None


def main():
    program, rng, n = sys.argv[1], random.Random(sys.argv[2]), int(sys.argv[3])
    batch = texts(rng, n)
    vocab = {"<0x%02X>" % i: i for i in range(256)}
    bad = 0
    parts = [("normalizer", x) for x in NORMALIZERS] + [("pre_tokenizer", {"type": "Sequence", "pretokenizers": [x, MARK]}) for x in SPLITS]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "tokenizer.json")
        for number, (kind, part) in enumerate(parts, 1):
            config = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None,
                      "decoder": None, "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                                                 "fuse_unk": False, "byte_fallback": True, "ignore_merges": False, "vocab": vocab, "merges": []}}
            config[kind] = part
            json.dump(config, open(path, "w"))
            got, want = ours(program, path, batch), theirs(path, batch)
            wrong = [i for i in range(len(batch)) if got is None or got[i] != want[i]]
            for i in wrong[:3]:
                print("%s on %a\n ours   %s\n theirs %s" % (json.dumps(part), batch[i], got and bytes(got[i]), bytes(want[i])), file=sys.stderr)
            bad += bool(wrong)
            name = part.get("pretokenizers", [part])[0]
            print("%sok %d - %s, %d texts%s" % ("not " if wrong else "", number, json.dumps(name).replace('"', ""), len(batch), ", %d differ" % len(wrong) if wrong else ""), flush=True)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

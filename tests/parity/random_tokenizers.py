#!/usr/bin/env python3
"""Randomly made tokenizer.json files against Hugging Face tokenizers 0.23.2: ids, and where they come from.

usage: random_tokenizers.py GEN_IDS FILES SEED [FIRST]
Each file has a small random model (Unigram, WordPiece, WordLevel, BPE), a random chain of normalizers and of pre-tokenizers, a
random post-processor and random added tokens, and encodes random texts of combining marks, jamo, emoji sequences, Indic
conjuncts, control characters and NUL. A text that makes Hugging Face's code panic is left out. What it loads must load here,
but for what this project refuses on purpose. Ranges are compared where no normalizer and no ByteLevel is in the chain: they
are equal, but that here a byte token has its byte alone, and what was inserted has an empty range.
Prints one TAP line; differences are described on stderr, with the number to give as FIRST (and FILES 1) to see it again.
"""
import base64
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tokenizers  # noqa: E402

CHARS = ["a", "b", "c", "A", "ab", "e\u0301", "\u00e9", "\u2581", "\u4e2d", "\u6587", "\u3042", "\u30fc", "\u30ab", "\U0001F600", "\u0301", "\u0308", "1", "2",
         "\u0663", " ", " ", "  ", ",", "<", "-", "x\0", "\u00df", "\u0130", "\u200d", "\u0928", "\u094d", "\u0915", "\u1100", "\u1161", "\u11a8", "\uac00", "\uac01",
         "\ufb01", "\u2460", "\uff21", "\u00a9", "\u2764\ufe0f", "\U0001F468\u200d\U0001F469", "\U0001F1E6", "\U0001F1E7", "\u0600", "\u0903", "\u0e33", "\u03b1",
         "\u0416", "\r", "\n", "\r\n", "\t", "\x01", "\x7f", "\u00ad", "\u200b", "\u3000", "\u00a0", "\ufeff", "\ufffd", "\u1e9b\u0323", "\U00011103\U00011133",
         "\u212b", "\u0344", "\u1112\u1161\u11ab", "q", "z", "'s", "[A]", "\U0010FFFF", "\u0378"]


def word(rng, most=6):
    return "".join(rng.choice(CHARS) for _ in range(rng.choice([1, 1, 1, 2, 2, 3, most])))


def build_charsmap(pairs, tails=()):
    """A map of bytes to bytes as SentencePiece writes it, in base64; its trie laid out first fit. tails: keys that get the tail of another's text."""
    keys, blob, value = sorted(pairs), b"", {}
    for k in keys:
        value[k] = len(blob)
        blob += pairs[k] + b"\0"
        if k in tails and len(blob) > 1:
            value[k] = len(blob) - 1
    units, used = {0: 0}, {0}

    def place(pos, prefix):
        nxt = sorted({k[len(prefix)] for k in keys if k.startswith(prefix) and len(k) > len(prefix)})
        leaf = prefix in value
        base = 0
        while any((base ^ c) in used for c in nxt + ([0] if leaf else [])) or (pos ^ base) >= 1 << 21:
            base += 1
        units[pos] = units.get(pos, 0) | (pos ^ base) << 10 | (256 if leaf else 0)
        if leaf:
            used.add(base)
            units[base] = value[prefix] | 1 << 31
        for c in nxt:
            used.add(base ^ c)
            units[base ^ c] = c
        for c in nxt:
            place(base ^ c, prefix + bytes([c]))

    place(0, b"")
    n = (max(used) | 255) + 1 + 256
    array = struct.pack("<%dI" % n, *(units.get(i, 0xFFFFFFFF if i else 0) for i in range(n)))
    return base64.b64encode(struct.pack("<I", 4 * n) + array + blob).decode()


def charsmap(rng):
    keys = sorted({word(rng, 3).encode() for _ in range(rng.randint(1, 25))})
    keys = [k for k in keys if k and 0 not in k]
    pairs = {k: rng.choice([b"", b" ", word(rng, 3).encode().replace(b"\0", b"n"), k]) for k in keys}
    return build_charsmap(pairs, {k for k in keys if rng.random() < .1})


def normalizer(rng, depth=0):
    kind = rng.choice("Precompiled Precompiled NFC NFD NFKC NFKD Lowercase Strip StripAccents Replace Replace Prepend ByteLevel BertNormalizer Nmt Sequence Sequence".split())
    n = {"type": kind}
    if kind == "Precompiled":
        n["precompiled_charsmap"] = charsmap(rng)
    elif kind == "Strip":
        n.update(strip_left=rng.random() < .5, strip_right=rng.random() < .5)
    elif kind == "Replace":
        n.update(pattern=rng.choice([{"String": rng.choice([" ", "a", "ab", "\u4e2d", "  "])}, {"Regex": rng.choice([" {2,}", "[0-9]+", "\\s", "a|\u0301"])}]),
                 content=rng.choice(["\u2581", "", "x", " "]))
    elif kind == "Prepend":
        n["prepend"] = rng.choice(["\u2581", "a ", "\u4e2d"])
    elif kind == "BertNormalizer":
        n.update(clean_text=rng.random() < .7, handle_chinese_chars=rng.random() < .7, strip_accents=rng.choice([None, True, False]), lowercase=rng.random() < .5)
    elif kind == "Sequence":
        if depth:
            return normalizer(rng, depth)
        n["normalizers"] = [normalizer(rng, 1) for _ in range(rng.randint(0, 3))]
    return n


def pretokenizer(rng, depth=0):
    kind = rng.choice("Split Split ByteLevel Metaspace Metaspace Whitespace WhitespaceSplit BertPreTokenizer Punctuation Digits CharDelimiterSplit UnicodeScripts UnicodeScripts FixedLength Sequence Sequence".split())
    p = {"type": kind}
    behaviors = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
    if kind == "Split":
        p.update(pattern=rng.choice([{"String": rng.choice([" ", "a", "\u2581", "-", "b"])}, {"Regex": rng.choice(["\\s+", "[0-9]", "\\p{L}+", " ?\\p{L}+| +", "\\p{M}"])}]),
                 behavior=rng.choice(behaviors), invert=rng.random() < .3)
    elif kind == "ByteLevel":
        p.update(add_prefix_space=rng.random() < .5, trim_offsets=True, use_regex=rng.random() < .6)
    elif kind == "Metaspace":
        p.update(replacement=rng.choice(["\u2581", "\u2581", "_"]), prepend_scheme=rng.choice(["always", "first", "never"]), split=rng.random() < .7)
    elif kind == "Punctuation":
        p["behavior"] = rng.choice(behaviors)
    elif kind == "Digits":
        p["individual_digits"] = rng.random() < .5
    elif kind == "CharDelimiterSplit":
        p["delimiter"] = rng.choice(["a", " ", "\u4e2d"])
    elif kind == "FixedLength":
        p["length"] = rng.randint(1, 6)
    elif kind == "Sequence":
        if depth:
            return pretokenizer(rng, depth)
        p["pretokenizers"] = [pretokenizer(rng, 1) for _ in range(rng.randint(0, 3))]
    return p


def scores(rng):
    k = rng.random()
    return -rng.randint(0, 5) if k < .5 else -round(rng.uniform(0, 9), rng.randint(0, 3)) if k < .8 else rng.uniform(-12, 2)


def model(rng, sparse):
    kind = rng.choice(["Unigram", "Unigram", "WordPiece", "WordLevel", "BPE"])
    byte_level = [chr(c) for c in list(range(33, 127)) + list(range(161, 173)) + list(range(256, 290))]
    words = [word(rng) if rng.random() < .8 else rng.choice(byte_level) for _ in range(rng.randint(2, 50))]
    bytes_ = ["<0x%02X>" % b for b in range(256) if rng.random() < rng.choice([1, 1, .9])] if rng.random() < .3 else []
    m = {"type": kind}
    if kind == "Unigram":
        v = [[w, scores(rng)] for w in words + bytes_]
        m["vocab"] = v
        if rng.random() < .9:
            m["unk_id"] = rng.randrange(len(v))
        if rng.random() < .5:
            m["byte_fallback"] = rng.random() < .7
    else:
        prefix = rng.choice(["##", "##", "", "\u2581", "a"])
        if kind == "WordPiece":
            words += [prefix + word(rng) for _ in range(rng.randint(1, 30))]
            m.update(continuing_subword_prefix=prefix, max_input_chars_per_word=rng.choice([100, 100, 5, 1, 0]))
        unk = rng.choice(["[UNK]"] * 5 + [words[0].replace("\0", ""), ""])
        m["unk_token"] = unk if kind != "BPE" or rng.random() < .8 else None
        if rng.random() < .95:
            words.append(unk)
        if kind == "BPE":
            merges, words = [], list(dict.fromkeys([c for w in words for c in w] + bytes_ + [unk]))
            for _ in range(rng.randint(0, 30)):
                a, b = rng.choice(words), rng.choice(words)
                if a and b:
                    merges.append([a, b])
                    if a + b not in words:
                        words.append(a + b)
            m.update(merges=merges, fuse_unk=rng.random() < .5, byte_fallback=rng.random() < .4, ignore_merges=rng.random() < .2)
        words = list(dict.fromkeys(words))
        m["vocab"] = dict(zip(words, rng.sample(range(len(words) * 2), len(words)) if sparse else range(len(words))))
    if rng.random() < .1:
        del m["type"]
    return m


def template(rng, ids):
    def special(k):
        return {"SpecialToken": {"id": "T%d" % k, "type_id": rng.randint(0, 1)}}

    text = [{"Sequence": {"id": "A", "type_id": 0}}]
    tokens = {"T%d" % k: {"id": "T%d" % k, "ids": [rng.choice(ids) for _ in range(rng.choice([1, 1, 2, 3, 0]))], "tokens": []} for k in range(3)}
    for t in tokens.values():
        t["tokens"] = ["t"] * len(t["ids"])
    single = [special(rng.randrange(3)) for _ in range(rng.randint(0, 3))] + text + [special(rng.randrange(3)) for _ in range(rng.randint(0, 3))]
    return {"type": "TemplateProcessing", "single": single, "pair": text + [{"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": tokens}


def postprocessor(rng, ids, depth=0):
    kind = rng.choice("TemplateProcessing TemplateProcessing BertProcessing RobertaProcessing ByteLevel Sequence".split())
    pair = {"sep": ["s", rng.choice(ids)], "cls": ["c", rng.choice(ids)]}
    if kind == "TemplateProcessing":
        return template(rng, ids)
    if kind == "BertProcessing":
        return dict(pair, type=kind)
    if kind == "RobertaProcessing":
        return dict(pair, type=kind, trim_offsets=False, add_prefix_space=rng.random() < .5)
    if kind == "ByteLevel":
        return {"type": kind, "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
    if depth:
        return postprocessor(rng, ids, depth)
    return {"type": kind, "processors": [postprocessor(rng, ids, 1) for _ in range(rng.randint(0, 3))]}


def tokenizer(rng):
    sparse = rng.random() < .15  # then new ids may be those of other tokens
    m = model(rng, sparse)
    ids = list(m["vocab"].values()) if isinstance(m["vocab"], dict) else list(range(len(m["vocab"])))
    added = []
    for _ in range(0 if sparse else rng.choice([0, 0, 1, 4])):
        added.append({"id": 10 ** 6, "content": rng.choice(["<s>", "[A]", "a", "\u4e2d", "ab", word(rng)]), "single_word": rng.random() < .2, "lstrip": rng.random() < .2,
                      "rstrip": rng.random() < .2, "normalized": rng.random() < .5, "special": rng.random() < .5})
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": normalizer(rng) if rng.random() < .7 else None,
            "pre_tokenizer": pretokenizer(rng) if rng.random() < .8 else None, "post_processor": postprocessor(rng, ids) if rng.random() < .6 else None, "decoder": None, "model": m}


def text(rng):
    return "".join(rng.choice(CHARS) for _ in range(rng.choice([0, 1, 2, 3, 8, 20, 60, 200])))


def theirs(path, texts, f):
    """What Hugging Face's code gives for each text, None where it fails; and whether it loads the file at all."""
    try:
        t = tokenizers.Tokenizer.from_file(path)
        if '"first"' in json.dumps(f["pre_tokenizer"]) and '"Replace"' in json.dumps(f["normalizer"]):
            return None, "theirs says that the replacement of several characters begins at the last"
        if t.normalizer and any(a["normalized"] and not t.normalizer.normalize_str(a["content"]) for a in f["added_tokens"]):
            return None, "an added token that matches nothing, and so everywhere"
    except BaseException as e:
        return None, str(e)
    out = []
    for s in texts:
        try:
            with_special, plain = t.encode(s).ids, t.encode(s, add_special_tokens=False)
            at = [0]
            for c in s:
                at.append(at[-1] + len(c.encode()))
            out.append((with_special, plain.ids, [(at[a], at[b]) for a, b in plain.offsets]))
        except BaseException:
            out.append(None)
    return out, None


def ours(program, path, texts):
    raw = [s.encode() for s in texts]
    run = subprocess.run([program, "-r", path], input=b"".join(struct.pack("<I", len(r)) + r for r in raw), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, a = [], 0
    while a < len(run.stdout):
        n, k = struct.unpack_from("<II", run.stdout, a)
        x = struct.unpack_from("<%dI" % (n + 3 * k), run.stdout, a + 8)
        a += 8 + 4 * (n + 3 * k)
        out.append((list(x[:n]), list(x[n:n + k]), list(zip(x[n + k:n + 2 * k], x[n + 2 * k:]))))
    return out, run.stderr.decode()


def same_ranges(f, ours, theirs):
    if f["normalizer"] is not None or "ByteLevel" in json.dumps(f["pre_tokenizer"]) or "merges" in f["model"]:
        return True
    if f["model"].get("byte_fallback"):
        return all(a <= b <= c <= d for (b, c), (a, d) in zip(ours, theirs))
    return all(x == y or (x[0] == x[1] == y[0]) for x, y in zip(ours, theirs))


def check(program, path, seed, number, count):
    rng = random.Random("%d %d" % (seed, number))
    f = tokenizer(rng)
    texts = [text(rng) for _ in range(25)]
    with open(path, "w", encoding="utf-8") as out:
        json.dump(f, out, ensure_ascii=rng.random() < .5)
    want, why = theirs(path, texts, f)
    if want is None:
        count["not loaded by Hugging Face"] = count.get("not loaded by Hugging Face", 0) + 1
        return True
    texts = [s for s, w in zip(texts, want) if w]
    want = [w for w in want if w]
    got, err = ours(program, path, texts)
    count["texts"] = count.get("texts", 0) + len(texts)
    for s, w, g in zip(texts, want, got):
        for what, x, y in (("with special tokens", g[0], w[0]), ("ids", g[1], w[1]), ("ranges", g[2], w[2])):
            if not (same_ranges(f, x, y) if what == "ranges" else x == y):
                print("file %d: %a: %s: ours %s, theirs %s" % (number, s, what, x[:24], y[:24]), file=sys.stderr)
                return False
    if len(got) != len(texts):
        print("file %d: %s" % (number, err.strip()), file=sys.stderr)
        return False
    return True


def main():
    program, files, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    first = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    count, bad = {}, 0
    with tempfile.TemporaryDirectory() as tmp:
        for number in range(first, first + files):
            bad += not check(program, os.path.join(tmp, "tokenizer.json"), seed, number, count)
            if bad > 20:
                break
    print("%s 1 - random tokenizer.json files: %d, %d differ, %s" % ("not ok" if bad else "ok", files, bad, count))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

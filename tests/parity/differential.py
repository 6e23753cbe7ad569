#!/usr/bin/env python3
"""Ids against Hugging Face tokenizers 0.23.2 on mixed and mutated text.

usage: differential.py GEN_IDS MB SEED TOKENIZER.json... -- TEXT...
Texts are slices of the TEXT files of many sizes, half of them changed: bits of other slices, repeated stretches, odd
characters, added tokens; and texts of the vocabulary's own pieces. Prints one TAP line a tokenizer; the first difference is described on stderr.
"""
import json
import os
import random
import struct
import subprocess
import sys
import unicodedata

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tokenizers  # noqa: E402

ODD = ["\u0301", "\u0085", "\u00a0", "\u3000", "\u2028", "\u017f", "\u212a", "'\u017f", "'S", "'Re ", "'ll", "\u2581", " \u2581", "\r\n",
       "\n \n", "\t", "\v", "\x00", "\x1c", "\x7f", "\u200d", "\U0001F600", "\U0001F468\u200d\U0001F469", "\u0660", "\u4e2d", "\u3042",
       "\uac00", "\u1100\u1161", "\u0f73", "e\u0301", "\ufb01", "\ufeff", "\ufffd", "\U0002F800", "    ", "a" * 70, "=" * 90, " " * 130,
       "12345678", "/\n/", "!\n\n/", "  x", "I'm", "ABCdef", "\u01c5", "\u02b0", "<0x0A>"]


def byte_of_char():
    """Byte-level models spell each byte as a character; the way back."""
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    rest = [b for b in range(256) if b not in plain]
    return {**{chr(b): b for b in plain}, **{chr(256 + i): b for i, b in enumerate(rest)}}


def completed(raw, rng):
    """Bytes as text: a character that begins or ends in the middle gets some bytes that it lacks."""
    head = next((i for i, b in enumerate(raw) if b & 0xC0 != 0x80), len(raw))
    if head and head < 4:
        raw = bytes([{1: 0xC3, 2: rng.choice([0xE1, 0xE3, 0xE6]), 3: 0xF0}[head]] + ([0x9F] if head == 3 and raw[0] < 0x90 else [])) + raw
        if head == 2 and rng.random() < 0.5:
            raw = b"\xf0\x9f" + raw[1:]
        if head == 1 and rng.random() < 0.8:
            raw = bytes([rng.choice([0xE1, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9]), rng.randrange(0x80, 0xC0)]) + raw[1:]
    tail = next((i for i in range(1, 4) if len(raw) >= i and raw[-i] >= 0xC0), 0)
    want = 0 if not tail else 2 if raw[-tail] < 0xE0 else 3 if raw[-tail] < 0xF0 else 4
    return (raw + bytes(rng.randrange(0x80, 0xC0) for _ in range(max(0, want - tail)))).decode("utf-8", errors="ignore")


def pieces(path):
    """The model's pieces as bytes: of byte-level models those with other than ASCII, of others their text."""
    model = json.load(open(path, encoding="utf-8"))["model"]
    vocab = [p[0] for p in model["vocab"]] if isinstance(model["vocab"], list) else list(model["vocab"])
    back = byte_of_char()
    raw = [bytes(back[c] for c in p) for p in vocab if all(c in back for c in p)]
    odd = [b for b in raw if any(x >= 0x80 for x in b)]
    torn = [b for b in odd if b[0] & 0xC0 == 0x80 or not b.decode("utf-8", errors="ignore").encode() == b]
    if len(raw) < 0.9 * len(vocab) or not odd:
        return [p.encode("utf-8", errors="ignore") for p in vocab], []
    return odd, torn


def spelled(vocab, torn, rng):
    """A text of the model's own pieces: what its merges lead to, and almost lead to."""
    out = []
    for _ in range(rng.choice([3, 10, 40])):
        raw = rng.choice(torn if torn and rng.random() < 0.6 else vocab)
        if rng.random() < 0.3:
            raw = rng.choice(vocab) + raw
        out.append(completed(raw, rng))
    return rng.choice(["", "", " "]).join(out)


def scripts(rng):
    """Runs of characters of each block of 128, mixed with blanks: scripts that no file here is written in."""
    out = []
    for a in list(range(0x80, 0xD800, 128)) + list(range(0xE000, 0x20000, 128)):
        block = [c for c in map(chr, range(a, a + 128)) if unicodedata.category(c)[0] in "LMNPS"]
        for _ in range(6 if block else 0):
            some = rng.sample(block, min(len(block), rng.choice([2, 5, 20, 128])))
            out.append("".join(rng.choice(some) if rng.random() < 0.9 else " " for _ in range(rng.choice([8, 40, 150]))))
    return "\n".join(out)


def texts(files, size, rng, added, vocab, torn):
    """Mixed texts of about `size` bytes in all, a quarter of them made of the vocabulary's pieces."""
    data = [open(f, encoding="utf-8", errors="ignore").read() for f in files]
    data += [scripts(rng)] * ((len(data) + 3) // 4)
    out, total = [], 0
    while total < size:
        if rng.random() < 0.25:
            for _ in range(20):
                s = spelled(vocab, torn, rng)
                out.append(s)
                total += len(s.encode())
            continue
        t = rng.choice(data)
        n = rng.choice([1, 5, 20, 100, 1000, 4000])
        a = rng.randrange(max(1, len(t) - n))
        s = t[a:a + n]
        if rng.random() < 0.5:
            s = list(s)
            for _ in range(rng.randint(1, 2 + len(s) // 40)):
                i = rng.randrange(len(s) + 1)
                kind = rng.random()
                if kind < 0.6:
                    s[i:i] = rng.choice(ODD)
                elif kind < 0.7 and added:
                    s[i:i] = rng.choice(added)
                elif kind < 0.8:
                    s[i:i] = s[max(0, i - rng.randint(1, 9)):i] * rng.randint(1, 30)
                elif kind < 0.9:
                    s[i:i] = chr(rng.choice([rng.randrange(0x80, 0x2000), rng.randrange(0x2000, 0xD800), rng.randrange(0x10000, 0x1FFFF)]))
                else:
                    del s[i:i + rng.randint(1, 8)]
            s = "".join(s)
        out.append(s)
        total += len(s.encode())
    return out


def ours(program, path, batch):
    raw = [s.encode() for s in batch]
    blob = b"".join(struct.pack("<I", len(r)) + r for r in raw)
    run = subprocess.run([program, path], input=blob, stdout=subprocess.PIPE)
    if run.returncode:
        return None
    ids, a = [], 0
    while a < len(run.stdout):
        n, = struct.unpack_from("<I", run.stdout, a)
        ids.append(list(struct.unpack_from("<%dI" % n, run.stdout, a + 4)))
        a += 4 + 4 * n
    return ids


def main():
    program, size, seed = sys.argv[1], float(sys.argv[2]) * 1e6, int(sys.argv[3])
    split = sys.argv.index("--")
    bad = 0
    for number, path in enumerate(sys.argv[4:split], 1):
        name = os.path.basename(os.path.dirname(path))
        rng = random.Random("%d %s" % (seed, name))
        tok = tokenizers.Tokenizer.from_file(path)
        tok.no_padding()
        tok.no_truncation()
        added = [t["content"] for t in json.load(open(path, encoding="utf-8")).get("added_tokens", [])]
        batch = texts(sys.argv[split + 1:], size, rng, added, *pieces(path))
        got = ours(program, path, batch)
        differ = 0
        for i, s in enumerate(batch if got is not None else []):
            want = tok.encode(s, add_special_tokens=False).ids
            if got[i] != want:
                differ += 1
                if differ <= 3:
                    k = next((k for k, (x, y) in enumerate(zip(got[i], want)) if x != y), min(len(got[i]), len(want)))
                    print("%s: text %d: %a\n id %d: ours %s, theirs %s" % (name, i, s[:300], k, got[i][k:k + 8], want[k:k + 8]), file=sys.stderr)
        ok = got is not None and differ == 0
        bad += not ok
        print("%s %d - %s, %d texts%s" % ("ok" if ok else "not ok", number, name, len(batch), "" if ok else ", %d differ" % differ), flush=True)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Write lib/text/breaks_data.c by asking the Python package tokenizers where it sees grapheme clusters and scripts.

Clusters are seen through the normalizer Precompiled, with a map that makes "1" of every character, and of every cluster
of fewer than 6 bytes: the number of ones tells whether characters hang together. Scripts are seen through the
pre-tokenizer UnicodeScripts; what they are called does not matter.

usage: gen_breaks.py [--check] [OUT]      --check compares with the committed file instead of writing
"""
import base64
import json
import struct
import sys

import tokenizers
from tokenizers import Tokenizer, pre_tokenizers as P

VERSION = "0.23.2"
SCALARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
CLASS = "ANY CR LF CONTROL EXTEND SPACING PREPEND L V T LV LVT PICT CONSONANT REGIONAL ZWJ".split()
EXT, ZWJ, PREP, PICT, KA, VIRAMA = "\u0301", "\u200d", "\u0600", "\u00a9", "\u0915", "\u094d"
JL, JV, JT = "\u1100", "\u1161", "\u11a8"


def ones():
    """A normalizer that writes "1" for each cluster of fewer than 6 bytes and each character of longer ones; not for a newline."""
    unit = [0] * 1024
    unit[0] = 256 << 10
    for c in range(1, 256):
        if c != 10:
            unit[256 + c] = c | 256 | 768 << 10
            unit[512 + c] = 1 << 31
    blob = struct.pack("<I", 4 * len(unit)) + struct.pack("<1024I", *unit) + b"1\0"
    f = {"version": "1.0", "added_tokens": [], "model": {"type": "WordLevel", "vocab": {"1": 0}, "unk_token": "1"},
         "normalizer": {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(blob).decode()}}
    return Tokenizer.from_str(json.dumps(f)).normalizer


def matching(norm, before, after, count, among):
    """The characters that give so many ones between these texts."""
    out = set()
    for i in range(0, len(among), 1 << 16):
        part = among[i:i + (1 << 16)]
        got = norm.normalize_str("\n".join(before + chr(c) + after for c in part)).split("\n")
        assert len(got) == len(part)
        out.update(c for c, s in zip(part, got) if len(s) == count)
    return out


def graphemes():
    """The class of each character, and which are linkers (16) and extenders (32) of conjuncts."""
    n, some = ones(), [c for c in SCALARS if c > 0x7E]
    table = dict.fromkeys(SCALARS, 0)

    def put(name, chars):
        for c in chars:
            assert table[c] == 0, "U+%04X is in two classes" % c
            table[c] = CLASS.index(name)

    put("LF", {10})
    put("CR", {13})
    put("CONTROL", set(range(32)) - {10, 13})
    put("CONTROL", matching(n, "", EXT + EXT, 2, some))
    put("PREPEND", matching(n, "", "a", 1, some))
    hang = matching(n, "a", "", 1, some)
    put("ZWJ", {0x200D})
    put("EXTEND", matching(n, PICT, ZWJ + PICT + EXT, 5, sorted(hang)) - {0x200D})
    put("SPACING", {c for c in hang if not table[c]})
    some = [c for c in some if not table[c]]
    after_l, after_v, after_t = (set(matching(n, PREP + x, "", 3, some)) for x in (JL, JV, JT))
    before_l, before_v, before_t = (set(matching(n, PREP, x + EXT, 4, some)) for x in (JL, JV, JT))
    put("L", before_l & after_l)
    put("V", after_l & after_v)
    put("T", after_v & after_t)
    put("LV", (after_l & before_v) - after_v - before_l)
    put("LVT", (after_l & before_t) - before_v)
    put("PICT", matching(n, "", ZWJ + PICT + EXT, 4, some))
    put("CONSONANT", matching(n, "", VIRAMA + KA + EXT, 4, some))
    put("REGIONAL", range(0x1F1E6, 0x1F200))  # cannot be seen so: a cluster with one is a single character or long
    linker = matching(n, KA, KA + EXT, 4, sorted(hang))
    extender = matching(n, KA + VIRAMA, KA + EXT, 5, sorted(hang)) - linker
    for c in linker:
        table[c] |= 16
    for c in extender:
        table[c] |= 32
    return table


def starts(text):
    """Where pieces start, and where the first one does."""
    return {b for _, (b, _) in P.UnicodeScripts().pre_tokenize_str(text)}


def scripts():
    """A number for each script, 0 where a character takes on the script before it."""
    table = dict.fromkeys(SCALARS, 0)
    real = []
    for i in range(0, len(SCALARS), 1 << 16):
        part = SCALARS[i:i + (1 << 16)]
        cut = starts("".join("a" + chr(c) + "\u03b1" + chr(c) for c in part))
        real += [c for k, c in enumerate(part) if 4 * k + 1 in cut or 4 * k + 3 in cut]
    cut = set()
    for i in range(0, len(real), 1 << 16):  # parts overlap by one character
        cut.update(i + b for b in starts("".join(map(chr, real[i:i + (1 << 16) + 1]))) if b)
    first, number, known = 0, {}, []
    for k in range(len(real)):
        if k and k not in cut:
            table[real[k]] = table[real[k - 1]]
            continue
        r = chr(real[k])
        pairs = starts("".join(r + x for x in known))
        same = [i for i in range(len(known)) if 2 * i + 1 not in pairs]
        assert len(same) < 2
        if not same:
            known.append(r)
        table[real[k]] = same[0] + 1 if same else len(known)
    return table, len(known)


def emit(out, name, table):
    """Two-stage table of bytes."""
    blocks, stage1 = {}, []
    for hi in range(0x110000 >> 7):
        b = tuple(table.get(hi << 7 | lo, 0) for lo in range(128))
        stage1.append(blocks.setdefault(b, len(blocks)))
    assert len(blocks) < 256
    for part, values in (("stage1", stage1), ("stage2", [x for b in blocks for x in b])):
        out.append("\nconst uint8_t ax_%s_%s[] = {" % (name, part))
        for i in range(0, len(values), 32):
            out.append("\t" + ",".join(map(str, values[i:i + 32])) + ",")
        out.append("};")


def main():
    check = "--check" in sys.argv
    path = ([a for a in sys.argv[1:] if a != "--check"] + ["lib/text/breaks_data.c"])[0]
    if tokenizers.__version__ != VERSION:
        sys.exit("gen_breaks.py: needs tokenizers %s, this is %s" % (VERSION, tokenizers.__version__))
    table, n = scripts()
    out = ["/* Written by scripts/gen_breaks.py from tokenizers %s. %d scripts. */" % (VERSION, n), '#include "text/breaks.h"']
    emit(out, "grapheme", graphemes())
    emit(out, "script", table)
    text = "\n".join(out) + "\n"
    if check:
        sys.exit(0 if open(path).read() == text else "gen_breaks.py: %s differs from what tokenizers says" % path)
    open(path, "w").write(text)


if __name__ == "__main__":
    main()

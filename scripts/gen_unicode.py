#!/usr/bin/env python3
"""Write lib/text/unicode_data.c by asking the Python package tokenizers what its tables say.

Hugging Face tokenizers is not one Unicode version: its regex engine (Oniguruma), its normalizer and the Rust standard
library each carry their own. So nothing is taken from a Unicode release; each class is probed over all scalar values.
The only outside facts are combining class values and first-level decompositions, which never change once assigned, from
Python's unicodedata; that they hold in the probed library is checked here.

usage: gen_unicode.py [--check] [OUT]      --check compares with the committed file instead of writing
"""
import sys
import unicodedata as ud

import tokenizers
from tokenizers import Regex, normalizers as N, pre_tokenizers as P

VERSION = "0.23.2"
SCALARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
ALL = "".join(map(chr, SCALARS))
GC = "Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cs".split()
SCRIPTS = """Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki
Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee Chorasmian Common
Coptic Cuneiform Cypriot Cypro_Minoan Cyrillic Deseret Devanagari Dives_Akuru Dogra Duployan Egyptian_Hieroglyphs Elbasan
Elymaic Ethiopic Garay Georgian Glagolitic Gothic Grantha Greek Gujarati Gunjala_Gondi Gurmukhi Gurung_Khema Han Hangul
Hanifi_Rohingya Hanunoo Hatran Hebrew Hiragana Imperial_Aramaic Inherited Inscriptional_Pahlavi Inscriptional_Parthian
Javanese Kaithi Kannada Katakana Kawi Kayah_Li Kharoshthi Khitan_Small_Script Khmer Khojki Khudawadi Kirat_Rai Lao Latin
Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic Manichaean Marchen Masaram_Gondi
Medefaidrin Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani Myanmar
Nabataean Nag_Mundari Nandinagari New_Tai_Lue Newa Nko Nushu Nyiakeng_Puachue_Hmong Ogham Ol_Chiki Ol_Onal Old_Hungarian
Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_Sogdian Old_South_Arabian Old_Turkic Old_Uyghur Oriya Osage
Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada
Shavian Siddham SignWriting Sinhala Sogdian Sora_Sompeng Soyombo Sundanese Sunuwar Syloti_Nagri Syriac Tagalog Tagbanwa
Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangsa Tangut Telugu Thaana Thai Tibetan Tifinagh Tirhuta Todhri Toto Tulu_Tigalari
Ugaritic Vai Vithkuqi Wancho Warang_Citi Yezidi Yi Zanabazar_Square""".split()
FLAGS = ["SPACE", "WORD", "RSPACE", "RWORD", "RNUM", "PUNCT", "NFC", "NFD", "NFKC", "NFKD", "MARK", "CDROP", "CSPACE", "CJK", "LOWER", "BMARK",
         "ALPHA", "SMALL", "CAPITAL"]


def removed(pre):
    """The set of scalars that a pre-tokenizer with behaviour "removed" takes out of the string of all scalars."""
    keep = bytearray(len(SCALARS))
    for _, (b, e) in pre.pre_tokenize_str(ALL):
        keep[b:e] = b"\1" * (e - b)
    return {SCALARS[i] for i in range(len(SCALARS)) if not keep[i]}


def regex_set(rx):
    return removed(P.Split(Regex(rx), "removed"))


def isolated(pre):
    """The scalars that a pre-tokenizer isolates between letters."""
    text = "a" + "a".join(map(chr, SCALARS)) + "a"
    return {SCALARS[b // 2] for _, (b, e) in pre.pre_tokenize_str(text) if e == b + 1 and b % 2 == 1}


def word_set():
    """Rust's \\w: the scalars that stay in one piece with a preceding letter."""
    text = " ".join("a" + chr(c) for c in SCALARS)
    return {SCALARS[b // 3] for _, (b, e) in P.Whitespace().pre_tokenize_str(text) if b % 3 == 0 and e == b + 2}


def changed(norm):
    """{scalar: its normal form} for the scalars that change on their own."""
    out = {}
    for c in SCALARS:
        t = norm.normalize_str(chr(c))
        if t != chr(c):
            out[c] = t
    return out


def combining():
    """Canonical combining class: non-zero where the library really reorders, the value from unicodedata."""
    ccc = {}
    nfd = N.NFD()
    for c in SCALARS:
        v = ud.combining(chr(c))
        if v == 0:
            continue
        probe = "a" + chr(c) + ("\u0334" if v > 1 else "\u0345")
        if v > 1:
            live = nfd.normalize_str(probe) != nfd.normalize_str("a" + chr(c)) + "\u0334"
        else:
            live = nfd.normalize_str("a\u0345" + chr(c)) == "a" + chr(c) + "\u0345"
        if live:
            ccc[c] = v
    return ccc


def compositions():
    pairs = {}
    nfc = N.NFC()
    for c in SCALARS:
        d = ud.decomposition(chr(c))
        if not d or d.startswith("<"):
            continue
        cps = [int(x, 16) for x in d.split()]
        if len(cps) == 2 and nfc.normalize_str("".join(map(chr, cps))) == chr(c):
            pairs[tuple(cps)] = c
    return pairs


def folds():
    """(cycles, multi): what (?i) takes for one another. cycles: each character that has others, and the next of its circle;
    multi: characters that also stand for a string of two or three."""
    cased = sorted(regex_set(r"[[:upper:][:lower:]\p{Lt}\p{M}]"))
    text = "\n".join(map(chr, cased))
    cycle = {}
    for c in cased:
        same = P.Split(Regex(r"(?i:\x{%x})" % c), "removed", True).pre_tokenize_str(text)
        same = [ord(x) for x, (b, e) in same if e == b + 1]
        assert c in same
        if len(same) > 1:
            cycle[c] = same[(same.index(c) + 1) % len(same)]
    multi = []
    for c in cased:
        s = chr(c).casefold()
        if len(s) > 1 and [x for x, _ in P.Split(Regex(r"(?i:\x{%x})" % c), "removed", True).pre_tokenize_str(s)] == [s]:
            multi.append((c, [ord(x) for x in s]))
    return cycle, multi


def moves(mapping):
    """Runs of characters that move by one distance: first, last, step, distance."""
    out = []
    for c in sorted(mapping):
        d = mapping[c] - c
        last = out[-1] if out else None
        if last and last[3] == d and c - last[1] == last[2]:
            last[1] = c
        elif last and last[3] == d and last[0] == last[1] and c - last[1] == 2:
            last[1:3] = [c, 2]
        else:
            out.append([c, c, 1, d])
    return out


def ranges(s):
    out = []
    for c in sorted(s):
        if out and out[-1][1] + 1 == c:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def emit(name, ctype, values, fmt=str):
    yield f"const {ctype} {name}[{len(values)}] = {{"
    line = "\t"
    for v in values:
        item = fmt(v) + ","
        if len(line) + len(item) > 118:
            yield line
            line = "\t"
        line += item
    yield line
    yield "};"
    yield ""


def emit_map(name, mapping):
    """Sorted keys, and for each where its code points lie in a pool: `name`_key, `name`_at (one more than keys), `name`_pool."""
    keys = sorted(mapping)
    pool, at = [], [0]
    for k in keys:
        pool += [ord(ch) for ch in mapping[k]]
        at.append(len(pool))
    assert at[-1] < 65536
    yield f"const uint32_t ax_uni_{name}_n = {len(keys)};"
    yield from emit(f"ax_uni_{name}_key", "uint32_t", keys)
    yield from emit(f"ax_uni_{name}_at", "uint16_t", at)
    yield from emit(f"ax_uni_{name}_pool", "uint32_t", pool)


def generate():
    assert tokenizers.__version__ == VERSION, f"made from tokenizers {VERSION}, found {tokenizers.__version__}"
    gc = {}
    for i, name in enumerate(GC):
        if name == "Cs":
            continue
        for c in regex_set(r"\p{%s}" % name):
            assert c not in gc, (name, hex(c))
            gc[c] = i
    nfc, nfd, nfkc, nfkd = changed(N.NFC()), changed(N.NFD()), changed(N.NFKC()), changed(N.NFKD())
    ccc, pairs = combining(), compositions()
    lower = changed(N.Lowercase())
    bert = changed(N.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False))
    cjk = changed(N.BertNormalizer(clean_text=False, handle_chinese_chars=True, strip_accents=False, lowercase=False))
    bert_marks = changed(N.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False))
    second = {b for _, b in pairs} | set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))
    hangul = set(range(0xAC00, 0xD7A4))
    for c in hangul:
        assert nfd[c] == ud.normalize("NFD", chr(c)) and c not in nfc
    unstable = second | set(ccc)
    sets = {
        "SPACE": regex_set(r"\s"), "WORD": regex_set(r"\w"), "RSPACE": removed(P.WhitespaceSplit()), "RWORD": word_set(),
        "RNUM": isolated(P.Digits(individual_digits=True)), "PUNCT": isolated(P.Punctuation("isolated")),
        "NFC": unstable | set(nfc), "NFD": set(ccc) | set(nfd), "NFKC": unstable | set(nfkc), "NFKD": set(ccc) | set(nfkd),
        "MARK": set(changed(N.StripAccents())), "CDROP": {c for c, t in bert.items() if t == ""},
        "CSPACE": {c for c, t in bert.items() if t == " "}, "CJK": set(cjk), "LOWER": set(lower),
        "BMARK": {c for c, t in bert_marks.items() if t == ""},
        "ALPHA": regex_set(r"[[:alpha:]]"), "SMALL": regex_set(r"[[:lower:]]"), "CAPITAL": regex_set(r"[[:upper:]]"),
    }
    assert regex_set(r"\d") == {c for c in SCALARS if GC[gc.get(c, 0)] == "Nd"}
    assert all(t in ("", " ") for t in bert.values())
    tuples, index = {}, []
    for c in range(0x110000):
        v = gc.get(c, GC.index("Cs") if 0xD800 <= c < 0xE000 else 0) | ccc.get(c, 0) << 24
        for i, f in enumerate(FLAGS):
            v |= (c in sets[f]) << (5 + i)
        index.append(tuples.setdefault(v, len(tuples)))
    assert len(tuples) <= 256, len(tuples)
    blocks, stage1 = {}, []
    for b in range(0, 0x110000, 128):
        stage1.append(blocks.setdefault(bytes(index[b:b + 128]), len(blocks)))
    yield "/*"
    yield f" * Generated by scripts/gen_unicode.py from tokenizers {VERSION}; do not edit. What the tables mean: text/unicode.h."
    yield " */"
    yield '#include "text/unicode_data.h"'
    yield ""
    yield from emit("ax_uni_flags", "uint32_t", list(tuples), lambda v: "0x%x" % v)
    yield from emit("ax_uni_stage1", "uint16_t", stage1)
    yield from emit("ax_uni_stage2", "uint8_t", [x for b in blocks for x in b])
    yield from emit_map("nfd", {c: t for c, t in nfd.items() if c not in hangul})
    yield from emit_map("nfkd", {c: t for c, t in nfkd.items() if c not in hangul and nfd.get(c) != t})
    yield from emit_map("lower", lower)
    keys = sorted(pairs)
    yield f"const uint32_t ax_uni_pair_n = {len(keys)};"
    yield from emit("ax_uni_pair", "uint32_t", [x for k in keys for x in (*k, pairs[k])])
    cycle, multi = folds()
    rows = moves(cycle)
    yield f"const uint32_t ax_uni_fold_n = {len(rows)};"
    yield from emit("ax_uni_fold", "int32_t", [x for r in rows for x in r])
    yield f"const uint32_t ax_uni_multi_n = {len(multi)};"
    yield from emit("ax_uni_multi", "uint32_t", [x for c, s in multi for x in (c, *s, *[0] * (3 - len(s)))])
    scripts = []
    for name in SCRIPTS:
        try:
            scripts.append((name, ranges(regex_set(r"\p{%s}" % name))))
        except Exception as err:
            sys.stderr.write(f"script {name}: {err}\n")
    flat, at = [], [0]
    for _, rs in scripts:
        flat += [x for r in rs for x in r]
        at.append(len(flat) // 2)
    yield from emit("ax_uni_script_range", "uint32_t", flat)
    yield from emit("ax_uni_script_at", "uint16_t", at)
    yield f"const uint32_t ax_uni_script_n = {len(scripts)};"
    yield from emit("ax_uni_script_name", "char *const", [n.replace("_", "").lower() for n, _ in scripts], lambda s: f'"{s}"')


def main():
    check = "--check" in sys.argv
    args = [a for a in sys.argv[1:] if not a.startswith("--")]
    out = args[0] if args else "lib/text/unicode_data.c"
    text = "\n".join(generate()).rstrip("\n") + "\n"
    if check:
        same = open(out).read() == text
        print("same" if same else "DIFFERS")
        sys.exit(0 if same else 1)
    open(out, "w").write(text)


main()

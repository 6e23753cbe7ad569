#!/usr/bin/env python3
"""Random regular expressions: our matches against Oniguruma inside Hugging Face tokenizers 0.23.2.

usage: regex_random.py GEN_MATCHES N SEED [PATTERN-FILE]
N patterns, each on 10 texts. Where we do not refuse a pattern, its non-empty matches and all places where it cuts must be equal; what
Oniguruma refuses we may take. PATTERN-FILE (a JSON list): these patterns first, and none of them may be refused.
usage: regex_random.py --oracle   (the child that runs Oniguruma: it has no limit of its own, and is ended after 5 s)
"""
import collections
import json
import os
import random
import select
import subprocess
import sys

CATALOGUE = [
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"\p{N}{1,3}", r"[一-龥぀-ゟ゠-ヿ]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
    r"[\r\n]", r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕ]+",
    r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", r"[一-龥ࠀ-一가-퟿]+", r"\p{N}+", r"\s?\p{L}+", r"\s?\p{P}+", r"[0-9][0-9][0-9]",
    r" ?[^(\s|[.,!?…。，、।۔،])]+", r"[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+",
    r"\d{1,2}(?=(?:\d{3})*(?!\d))", r"(?<=\p{L})(?=\p{N})", r"\b\w+\b", r"(?<!\S)\S+", r"(?:\r?\n)+|\R", r"\G\s", r"\A.|.\z",
]
ATOMS = ["a", "b", "s", "k", "ß", "ſ", "K", "é", "Σ", "i", "İ", "ﬁ", "t", "f", "ss", "st", "fi", " ", "'", "-", ".", r"\.", r"\s", r"\S", r"\d", r"\D", r"\w", r"\W", r"\h", r"\H",
         r"\p{L}", r"\p{N}", r"\P{L}", r"\p{^L}", r"\P{^N}", r"\p{Lu}", r"\p{Ll}", r"\p{M}", r"\p{P}", r"\p{S}", r"\p{Z}", r"\p{C}", r"\p{Han}", r"\p{Greek}", r"\p{Latin}", r"\p{Hiragana}",
         r"\p{Any}", r"\n", r"\r", r"\t", r"\x41", r"\x{e9}", r"\u00e9", r"\R", r"\X", r"\b", r"\B", r"\A", r"\z", r"\Z", r"^", r"$", r"\G", r"\K", r"\N", r"\O", r"\1", r"\2", r"\k<n>",
         r"\p{Script=Greek}", r"\p{Letter}", r"\p{alpha}", r"\p{Alnum}", r"\p{space}", r"\p{InBasicLatin}", r"\p{Emoji}", r"\p{ASCII}", r"\p{lower}", r"\v", r"\f", r"\e", r"\a", r"\0", r"\101", r"\cA", r"\C-a", r"\M-a",
         r"\,", r"\é", r"\{", "{", "}", "]", "a{", "a{,", "{2}", "#", r"\y", r"\Y", "(?#c)", r"\Qa.b\E", "中", "\U0001F600", "A", "S", "1", "12", "_", "ab", "Ab"]
MEMBERS = ["a", "b", "s", "k", "S", "K", "ß", "é", "ſ", "K", "a-f", "0-9", "A-Z", "à-ÿ", r"\s", r"\S", r"\d", r"\w", r"\W", r"\h", r"\p{L}", r"\P{N}", r"\p{^Lu}", r"\p{Han}", "[:alpha:]", "[:^digit:]", "[:punct:]",
           "[:space:]", "[:upper:]", "[:lower:]", "[:alnum:]", "[:word:]", "[:xdigit:]", "[:cntrl:]", "[:graph:]", "[:print:]", "[:blank:]", "[:ascii:]", "[:nope:]", "-", "^", "]", "&", "&&", "[ab]", "[^a]", "[a-z&&[^aeiou]]",
           r"\]", r"\\", r"\-", r"\n", r"\x41", r"\x{e9}-\x{ff}", "一-龥", ".", "*", "(", ")", "|", "'", " ", "\t", r"\b", "z-a", "a-\\d", r"\R", r"\X", "é-", "-a", "#", "İ", "Σ", "i", "ﬁ", "]a"]
QUANT = ["", "", "", "", "", "", "*", "+", "?", "*?", "+?", "??", "*+", "++", "?+", "{2}", "{1,2}", "{,2}", "{1,}", "{0}", "{2}?", "{1,2}?", "{2}+", "{1,3}+", "**", "+*", "{2}{2}", "*{2}", "{3,1}", "?*", "??+", "{0,1}", "{,}", "+{2}", "{2}*"]
GROUPS = ["(?:", "(?:", "(?:", "(", "(", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?i:", "(?i:", "(?-i:", "(?m:", "(?x:", "(?im:", "(?i-m:", "(?<n>", "(?im:"] * 4 + ["(?'n'", "(?s:", "(?~", "(?|", "(?P<n>", "(?W:", "(?a:"]
TEXT = ["a", "b", "s", "S", "k", "K", "ss", "SS", "ß", "ẞ", "ſ", "ſs", "K", "é", "É", "e\u0301", "Σ", "σ", "ς", "i", "I", "İ", "i\u0307", "ı", "ﬁ", "fi", "FI", "st", "ﬆ", "ff", "ﬀ", "ﬃ", " ", "  ", "\n", "\r\n", "\r", "\t",
        "'", "'s", "-", ".", "!", "1", "12", "123", "٣", "½", "中", "文", "あ", "ア", "가", "\U0001F600", "\u200d", "\u0301", "\u3000", "\u00a0", "\u0085", "\u2028", "\u180e", "\ufeff", "_", "{", "}", "]", "[", "ab", "Abc", "\x0b", "\x00",
        "\x01", "\x7f", "x", "word", "Word", "\\", "#", "&", "\u0345", "ᾳ", "ʼn", "ŉ", "ǰ", "Å", "Å", "å", "Ω", "Ω", "ω", "µ", "μ", "Ა", "ა", "Ꭰ", "ꭰ", "𐐀", "𐐨", "\u1e9e", "ǅ", "Ǆ", "ǆ", "Ⅷ", "ⅷ", "Ⓐ", "ⓐ"]


def members(r):
    out = "".join(r.choice(MEMBERS) for _ in range(r.choice([1, 1, 2, 3, 4])))
    return "[%s%s]" % (r.choice(["", "", "^"]), out)


def pattern(r, depth=0):
    out = []
    for _ in range(r.choice([1, 1, 2, 3])):
        k = r.random()
        if k < 0.25 and depth < 3:
            out.append(r.choice(GROUPS) + pattern(r, depth + 1) + ")")
        elif k < 0.45:
            out.append(members(r))
        elif k < 0.47:
            out.append(r.choice(["(?i)", "(?-i)", "(?m)", "(?x)"]))
        elif k < 0.75:
            out.append(r.choice(ATOMS[:45]))
        else:
            out.append(r.choice(ATOMS))
        out.append(r.choice(QUANT))
    s = "".join(out)
    if r.random() < (0.35 if depth else 0.4):
        s += "|" + pattern(r, depth + 1) if depth < 3 else "|b"
    return s


def text(r):
    return "".join(r.choice(TEXT) for _ in range(r.choice([0, 1, 2, 4, 8, 12])))


def oracle():
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from tokenizers import Regex, pre_tokenizers
    for line in sys.stdin:
        q = json.loads(line)
        try:
            regex = Regex(q["pattern"])
            cut = pre_tokenizers.Split(regex, "isolated", False)
            only = pre_tokenizers.Split(regex, "removed", True)
            out = [[[list(o) for _, o in x.pre_tokenize_str(t)] for x in (only, cut)] for t in q["texts"]]
        except BaseException as e:  # noqa: B902: a panic of Rust is one
            out = {"error": str(e)}
        print(json.dumps(out), flush=True)


class Child:
    def __init__(self, command):
        self.command = command
        self.start()

    def start(self):
        self.p = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, line):
        """None: it took more than 5 s, or died."""
        self.p.stdin.write(line)
        self.p.stdin.flush()
        if select.select([self.p.stdout], [], [], 5)[0]:
            answer = self.p.stdout.readline()
            if answer:
                return json.loads(answer)
        self.p.kill()
        self.p.wait()
        self.start()
        return None


def pieces(matches, n):
    """The places where matches cut a text of n characters, as pieces."""
    cuts = sorted({0, n} | {x for m in matches for x in m})
    return [[a, b] for a, b in zip(cuts, cuts[1:])]


def main():
    program, n, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    given = CATALOGUE + (json.load(open(sys.argv[4], encoding="utf-8")) if len(sys.argv) > 4 else [])
    ours, theirs = Child([program]), Child([sys.executable, __file__, "--oracle"])
    count = collections.Counter()
    reasons = collections.Counter()
    for i in range(-len(given), n):
        r = random.Random("%s %d" % (seed, i))
        p = given[i] if i < 0 else pattern(r)
        texts = [text(r) for _ in range(40 if i < 0 else 10)]
        line = (json.dumps({"pattern": p, "texts": texts}) + "\n").encode()
        got = ours.ask(line)
        if isinstance(got, dict) and i >= 0:
            count["patterns refused by us"] += 1
            reasons[got["error"].split("\"")[0].split(" at offset")[0][:60]] += 1
            continue
        want = theirs.ask(line)
        if want is None or isinstance(want, dict):
            count["endless in Oniguruma" if want is None else "refused by Oniguruma"] += 1
            continue
        count["patterns compared"] += 1
        for k, (t, (only, cut)) in enumerate(zip(texts, want)):
            mine = got[k] if isinstance(got, list) else None
            count["pairs"] += 1
            if mine is None and isinstance(got, list):
                count["beyond our limit"] += 1
            elif mine is None or [m for m in mine if m[0] < m[1]] != only or pieces(mine, len(t)) != cut:
                count["differ"] += 1
                print("%d: %s on %a\n ours   %s\n theirs %s %s" % (i, p, t, mine if mine is not None else got, only, cut), file=sys.stderr)
                break
    print("# %s" % dict(reasons.most_common(30)), file=sys.stderr)
    print("%sok 1 - regexes, %s" % ("not " if count["differ"] else "", ", ".join("%d %s" % (v, k) for k, v in sorted(count.items()))))
    sys.exit(1 if count["differ"] else 0)


if __name__ == "__main__":
    oracle() if sys.argv[1:] == ["--oracle"] else main()

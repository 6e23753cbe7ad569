#!/usr/bin/env python3
"""Write cases.json: where Oniguruma inside Hugging Face tokenizers 0.23.2 finds the patterns below.

usage: python3 make.py (needs the package tokenizers)
A case is a pattern and texts with the non-empty matches of each, in bytes. `refused` are patterns that ours must not take.
"""
import json
import os

from tokenizers import Regex, pre_tokenizers

TEXTS = ["", "abc", "Hello World  it's 12345 don't", "a  b\t\n\r\n c", "\u00e9\u00c9 e\u0301 \u00df\u1e9e s\u017f K\u212a", "ssSS \ufb01 fi \u0130i\u0307\u0131I", "\u4e2d\u6587\u3042\u30a2\uac00 \u03a3\u03c3\u03c2",
         "x\u00bdy\u00b2z_1\u0663\u2167\u24d0", "{}[]()!?.,;:'\"-_", "\u3000\u00a0\u0085\u2028\u180e\ufeff", "aaa bbb aab abab", "a{,}b{2}", "\U00010400\U00010428\U0001F600\u200d"]
PATTERNS = [r"a+", r"a{2}?b", r"a{2}??b", r"a{2}?+a", r"(?:ab){2}+", r"a{,2}b", r"b{,}", r"a{x", r"(?i:s)", r"(?i:k)", r"(?i:[^a])", r"(?i:[^A-Z]+)", r"(?i)é|x", r"a(?i)B|C", r"(?i:[a-f]+)", r"(?i:σ)", r"(?-i:a)(?i:B)", r"(?i:\x{10400})",
            r"[\w]+", r"\w+", r"[^\w\s]+", r"\W", r"[[:word:]]+", r"[[:punct:]]+", r"\p{punct}+", r"[[:alpha:]]+", r"[[:^alpha:]]+", r"[[:upper:][:digit:]]+", r"\p{lower}+", r"[[:graph:]]+", r"[[:print:]]+", r"[[:cntrl:]]",
            r"[[:blank:]]+", r"[[:xdigit:]]+", r"\h+", r"\H+", r"[[:ascii:]]+", r"[[:alnum:]]+", r"\p{^L}+", r"\P{^N}+", r"[\p{L}&&[^a-m]]+", r"[a-z&&[^aeiou]]+", r"\R", r"\N+", r"\O", r"(?m:.+)", r".+", r"^.", r".$",
            r"\A\w|\w\z", r"\w\Z", r"\b\w", r"\B\w", r"(?x: a b # c" "\n" r" c )", r"(?#note)a", r"(?<name>a)b", r"(?=b)|c", r"(?<=a)b", r"(?<!a)b", r"(?>a+)b", r"a++b", r"a*+a", r"a??b", r"(?:a+)*b", r"a**", r"(a|ab)(c|bcd)?",
            r"\p{Han}+", r"\p{Hiragana}|\p{Katakana}", r"\p{Greek}+", r"\s+(?!\S)|\s+", r"[^\r\n\p{L}\p{N}]?+\p{L}+", r"\p{N}{1,3}", r"\d{1,3}(?=(?:\d{3})*\b)", r"\G\w", r"\u00e9|\x41|\t", r"[]a]+", r"[a\]-]+", r"\{|\}", r"\p{Cs}", r"[\p{Cs}]|b", r"\P{Cs}+", r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"]
REFUSED = [r"(?i:ss)", r"(?i:ß)", r"(?i:[ß])", r"(?i:s{2})", r"(?i:fi)", r"(?i:\p{L})", r"(?i)st", r"\1(a)", r"\k<x>", r"\K", r"\X", r"(?~a)", r"(?|a)", r"a{3,1}", r"*a", r"(", r")", r"[", r"[a", r"(?<=a+)b", r"\p{Nope}", r"[[:nope:]]",
           r"(?s:.)", "\\", r"\xe9", r"[\p{word}]", r"a{100000}"]


def matches(pattern, text):
    cut = pre_tokenizers.Split(Regex(pattern), "removed", True).pre_tokenize_str(text)
    return [[len(text[:b].encode()), len(text[:e].encode())] for _, (b, e) in cut]


def main():
    cases = [{"pattern": p, "matches": [matches(p, t) for t in TEXTS]} for p in PATTERNS]
    out = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases.json")
    with open(out, "w", encoding="utf-8") as f:
        json.dump({"texts": TEXTS, "cases": cases, "refused": REFUSED}, f, indent=None, separators=(",", ":"))
        f.write("\n")


main()

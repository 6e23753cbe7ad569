#!/usr/bin/env python3
"""Methods of str in templates over all scalar values, against this Python's (Unicode 14: 3.11 or 3.12 with its tables).

usage: str_methods.py GEN_RENDER
"""
import json
import subprocess
import sys
import unicodedata

METHODS = ["upper", "lower", "title", "capitalize", "swapcase", "casefold", "isalpha", "isalnum", "isdecimal", "isdigit", "isnumeric", "isspace",
           "isupper", "islower", "istitle", "isidentifier", "isprintable", "strip", "split", "splitlines"]
BLOCK = 8192


def main():
    if unicodedata.unidata_version != "14.0.0":
        print("ok 1 - str methods # SKIP Unicode %s" % unicodedata.unidata_version)
        return
    scalars = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    blocks = [[chr(c) for c in scalars[i:i + BLOCK]] for i in range(0, len(scalars), BLOCK)]
    bad = 0
    for number, m in enumerate(METHODS + ["repr"], 1):
        body = "{{ [c] }}" if m == "repr" else "{{ c.%s() }}|{{ ('a' ~ c ~ 'B\u03a3').%s() }}" % (m, m)
        lines = [json.dumps({"template": "{% for c in l %}" + body + "\u0001{% endfor %}"})] + [json.dumps({"context": {"l": b}}) for b in blocks]
        run = subprocess.run([sys.argv[1], "2025-07-10"], input="\n".join(lines).encode() + b"\n", stdout=subprocess.PIPE, check=True)
        got = "".join(json.loads(x).get("text", "") for x in run.stdout.splitlines())
        want = "".join("%s\x01" % ([c] if m == "repr" else "%s|%s" % (getattr(c, m)(), getattr("a" + c + "B\u03a3", m)())) for b in blocks for c in b)
        bad += got != want
        print("%sok %d - %s, %d characters" % ("" if got == want else "not ", number, m, len(scalars)), flush=True)
        if got != want:
            i = next(i for i, (x, y) in enumerate(zip(got + "\x02", want + "\x03")) if x != y)
            print("ours %a\ntheirs %a" % (got[max(0, i - 30):i + 30], want[max(0, i - 30):i + 30]), file=sys.stderr)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

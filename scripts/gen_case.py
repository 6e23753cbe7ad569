#!/usr/bin/env python3
"""Write lib/text/jinja_case_data.c: case mappings and character classes of Python's str, which chat templates use.

usage: scripts/gen_case.py > lib/text/jinja_case_data.c
"""
import unicodedata

FLAGS = ["ALPHA", "DECIMAL", "DIGIT", "NUMERIC", "PRINTABLE", "LOWER", "UPPER", "TITLE", "CASED", "IGNORABLE", "SPACE", "NAME_FIRST", "NAME"]


def chars():
    return (c for c in range(0x110000) if not 0xD800 <= c < 0xE000)


def ranges(f, skip):
    """Runs of characters that move by one distance: [first, last, step, delta]."""
    out = []
    for c in chars():
        s = f(chr(c))
        if len(s) != 1 or c in skip or s == chr(c):
            continue
        d = ord(s) - c
        last = out[-1] if out else None
        if last and last[3] == d and c - last[1] == last[2]:
            last[1] = c
        elif last and last[3] == d and last[0] == last[1] and c - last[1] == 2:
            last[1:3] = [c, 2]
        else:
            out.append([c, c, 1, d])
    return out


def show(name, rows):
    print(f"const struct axj_case_range {name}[] = {{")
    for i in range(0, len(rows), 4):
        print("\t" + " ".join("{0x%x, 0x%x, %d, %d}," % tuple(r) for r in rows[i:i + 4]))
    print("};")
    print(f"const size_t {name}_n = sizeof({name}) / sizeof({name}[0]);\n")


def special(name, f, only):
    rows = [(c, [ord(x) for x in f(chr(c))]) for c in chars() if len(f(chr(c))) > 1 and only(c)]
    print(f"const struct axj_case_special {name}[] = {{")
    for i in range(0, len(rows), 4):
        print("\t" + " ".join("{0x%x, {%s}}," % (c, ", ".join("0x%x" % x for x in v)) for c, v in rows[i:i + 4]))
    print("};")
    print(f"const size_t {name}_n = sizeof({name}) / sizeof({name}[0]);\n")


print(f"/* Made by scripts/gen_case.py from Python's str, Unicode {unicodedata.unidata_version}: do not edit. */")
print('#include "text/jinja_case.h"\n')
show("axj_lower_range", ranges(str.lower, ()))
show("axj_upper_range", ranges(str.upper, ()))
same = {c for c in chars() if str.title(chr(c)) == str.upper(chr(c))}
title = [[c, c, 1, ord(str.title(chr(c))) - c] for c in chars() if c not in same and len(str.title(chr(c))) == 1]
show("axj_title_range", title)
special("axj_lower_special", str.lower, lambda c: True)
special("axj_upper_special", str.upper, lambda c: True)
special("axj_title_special", str.title, lambda c: c not in same)
special("axj_fold_special", str.casefold, lambda c: True)
fold_differs = {c for c in chars() if chr(c).casefold() != chr(c).lower() and len(chr(c).casefold()) == 1}
print("const struct axj_case_range axj_fold_range[] = {")
rows = [(c, c, 1, ord(chr(c).casefold()) - c) for c in sorted(fold_differs)]
for i in range(0, len(rows), 4):
    print("\t" + " ".join("{0x%x, 0x%x, %d, %d}," % r for r in rows[i:i + 4]))
print("};\nconst size_t axj_fold_range_n = sizeof(axj_fold_range) / sizeof(axj_fold_range[0]);\n")


def final(text):
    return (text + "\u03a3").lower().endswith("\u03c2")


def flags(c):
    """The classes of FLAGS, and the value of a decimal digit above them."""
    s = chr(c)
    sigma = final(s)
    tests = [s.isalpha(), s.isdecimal(), s.isdigit(), s.isnumeric(), s.isprintable(), s.islower(), s.isupper(),
             s.istitle() and not s.isupper(), (s + "a").title().endswith("a"), not sigma and final("A" + s), s.isspace(), s.isidentifier(),
             ("a" + s).isidentifier()]
    return sum(1 << i for i, t in enumerate(tests) if t) | (unicodedata.decimal(s) << len(FLAGS) if s.isdecimal() else 0)


def classes(block=128):
    kinds, blocks, first = {}, {}, []
    for b in range(0, 0x110000, block):
        row = tuple(kinds.setdefault(0 if 0xD800 <= c < 0xE000 else flags(c), len(kinds)) for c in range(b, b + block))
        first.append(blocks.setdefault(row, len(blocks)))
    assert len(blocks) < 65536 and len(kinds) < 256
    for name, kind, items, form in (("axj_uni_stage1", "uint16_t", first, "%d"), ("axj_uni_stage2", "uint8_t", [x for row in blocks for x in row], "%d"),
                                    ("axj_uni_flags", "uint32_t", list(kinds), "0x%x")):
        print(f"const {kind} {name}[{len(items)}] = {{")
        for i in range(0, len(items), 24):
            print("\t" + " ".join(form % x + "," for x in items[i:i + 24]))
        print("};\n")


classes()

#!/usr/bin/env python3
"""Plain text of documentation: what run.sh measures on.

usage: corpus.py OUT [-l LANGUAGE] FOLDER|PACKAGE.deb...
Takes every .html, .xhtml, .txt, .rst and .md file, manual page and .po translation under the folders (packages are unpacked
beside OUT), also gzipped, without mark-up and without lines seen before, so that the text is distinct. -l ja, zh: only
lines in which every third character or more is Japanese or Chinese.
"""
import gzip
import html
import os
import re
import subprocess
import sys
import tempfile

TAG = re.compile(r"<(script|style)\b.*?</\1>|<!--.*?-->|<(br|p|div|h\d|li|tr|dt|dd|pre|table)\b[^>]*>|<[^>]*>", re.S | re.I)


def plain(name, data):
    """The text of a file, or None if it is of no known kind."""
    if name.endswith(".gz"):
        data, name = gzip.decompress(data), name[:-3]
    text = data.decode("utf-8", "ignore")
    if name.endswith((".html", ".xhtml", ".htm")):
        return html.unescape(TAG.sub(lambda m: "\n" if m.group(2) else "", text))
    if name.endswith((".txt", ".rst", ".md")):
        return text
    if name.endswith(".po"):
        return "\n".join(re.findall(r'^(?:msgstr )?"(.*)"$', text, re.M))
    if re.search(r"\.[1-9]\w*$", name) and "/man" in name:
        return "\n".join(re.sub(r"\\f.|\\-|\\&", "", line) for line in text.split("\n") if not line.startswith((".", "'")))
    return None


def of_language(line, language):
    wanted = {"ja": "[\u3040-\u30ff\u4e00-\u9fff]", "zh": "[\u4e00-\u9fff]"}[language]
    return 3 * len(re.findall(wanted, line)) >= len(line.replace(" ", "")) > 0


def main():
    out, args, language = sys.argv[1], sys.argv[2:], None
    if args[:1] == ["-l"]:
        language, args = args[1], args[2:]
    seen, total = set(), 0
    with open(out, "w", encoding="utf-8", newline="") as f, tempfile.TemporaryDirectory(dir=os.path.dirname(out) or ".") as tmp:
        for n, arg in enumerate(args):
            if arg.endswith(".deb"):
                folder = os.path.join(tmp, str(n))
                subprocess.run(["dpkg-deb", "-x", arg, folder], check=True)
                arg = folder
            for base, dirs, files in os.walk(arg):
                dirs.sort()
                for name in sorted(files):
                    path = os.path.join(base, name)
                    if os.path.islink(path):
                        continue
                    with open(path, "rb") as g:
                        text = plain(path, g.read())
                    kept = []
                    for line in (text or "").split("\n"):
                        key = hash(line.strip())
                        if not line.strip():
                            kept.append("")
                        elif key not in seen and (not language or of_language(line, language)):
                            seen.add(key)
                            kept.append(line.rstrip())
                    text = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip("\n")
                    if text:
                        f.write(text + "\n\n")
                        total += len(text.encode())
    print("%s: %.1f MB" % (out, total / 1e6))


if __name__ == "__main__":
    main()

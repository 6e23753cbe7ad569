#!/usr/bin/env python3
"""Conversations out of a text, for the chat rows of run.sh.

usage: chat.py TEXT OUT.jsonl [BYTES]
Paragraphs of the text become the turns of conversations, a question of one paragraph and an answer of one to six, up to
eight turns; every fourth begins with a system message. The lengths come from a fixed seed.
"""
import json
import random
import sys


def main():
    text, out = sys.argv[1:3]
    size = int(sys.argv[3]) if len(sys.argv) > 3 else 30_000_000
    rng = random.Random(1)
    parts = iter([p for p in open(text, "rb").read(size).decode(errors="ignore").split("\n\n") if p.strip()])
    with open(out, "w", encoding="utf-8") as f:
        while True:
            messages = []
            try:
                if rng.random() < 0.25:
                    messages.append({"role": "system", "content": next(parts)})
                for _ in range(rng.randint(1, 4)):
                    messages.append({"role": "user", "content": next(parts)})
                    messages.append({"role": "assistant", "content": "\n\n".join([next(parts) for _ in range(rng.randint(1, 6))])})
            except StopIteration:
                break
            f.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")


main()

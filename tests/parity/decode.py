#!/usr/bin/env python3
"""Texts of ids against Hugging Face tokenizers 0.23.2: random lists of ids, and those of its goldens.

usage: decode.py AX_TOKENIZE N SEED FOLDER...		each FOLDER has a tokenizer.json
Lists are of five kinds: any ids; ids of one stretch of the vocabulary; byte tokens, so that runs are broken UTF-8; a mix of
special and added tokens; ids that no token has. Prints one TAP line a tokenizer; the first difference goes to stderr.
"""
import json
import os
import random
import subprocess
import sys

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tokenizers  # noqa: E402


def lists(tok, n, rng):
    vocab = tok.get_vocab(with_added_tokens=True)
    ids = sorted(vocab.values())
    by_id = {i: t for t, i in vocab.items()}
    added = sorted(tok.get_added_tokens_decoder())
    odd = [i for i in ids if len(by_id[i]) == 6 and by_id[i].startswith("<0x")]
    odd += [i for i in ids if any(0x100 <= ord(c) < 0x144 for c in by_id[i])][:600]
    marks = [i for i in ids if "\u2581" in by_id[i] or by_id[i] in ("'", "n't", "do", "not", ".", ",", "?", "'s", "!")][:400]
    for _ in range(n):
        size = rng.choice([0, 1, 2, 3, 5, 10, 40, 200])
        kind = rng.randrange(6)
        if kind == 0:
            yield [rng.choice(ids) for _ in range(size)]
        elif kind == 1:
            a = rng.randrange(len(ids))
            yield ids[a:a + size]
        elif kind == 2 and odd:
            yield [rng.choice(odd if rng.random() < 0.8 else ids) for _ in range(size)]
        elif kind == 3 and added:
            yield [rng.choice(added if rng.random() < 0.5 else ids) for _ in range(size)]
        elif kind == 4 and marks:
            yield [rng.choice(marks) if rng.random() < 0.8 else rng.choice(ids) for _ in range(size)]
        else:
            yield [rng.choice(ids) if rng.random() < 0.7 else rng.choice([ids[-1] + 1, ids[-1] + 77, 1 << 24, 2**32 - 1]) for _ in range(size)]


def ours(program, folder, batch, skip):
    run = subprocess.run([program, "--decode", "-m", folder] + (["--no-special"] if skip else []),
                         input="".join(json.dumps(b) + "\n" for b in batch).encode(), stdout=subprocess.PIPE)
    return None if run.returncode else [json.loads(x) for x in run.stdout.decode().split("\n")[:-1]]


def main():
    program, n, seed, folders = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    bad = 0
    for k, folder in enumerate(folders):
        name = os.path.basename(folder.rstrip("/"))
        tok = tokenizers.Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        batch = list(lists(tok, n, random.Random(f"{seed} {name}")))
        wrong, total, text = 0, 0, 0
        for skip in (False, True):
            got = ours(program, folder, batch, skip)
            if got is None or len(got) != len(batch):
                print(f"not ok {k + 1} - {name}: no answer")
                bad += 1
                break
            for ids, have in zip(batch, got):
                want = tok.decode(ids, skip_special_tokens=skip)
                total += 1
                text += len(want)
                if want != have:
                    wrong += 1
                    if wrong == 1:
                        print(f"{name}: {ids} skip={skip}\n  theirs {want!r}\n  ours   {have!r}", file=sys.stderr)
        else:
            print(f"{'not ' if wrong else ''}ok {k + 1} - {name}: {total} lists of ids, {text} characters, {wrong} differ")
            bad += wrong > 0
    print(f"1..{len(folders)}")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())

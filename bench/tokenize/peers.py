#!/usr/bin/env python3
"""One peer on one text, as bench does: documents of about 10 kB to ids, one thread, cold.

usage: peers.py PEER MODEL TEXT [BYTES] [REPEATS]    PEER: gigatoken, gigatoken-file, fastokens, hf
Prints name, milliseconds to load, bytes, MB/s, ids, the CRC-32 of the ids. Time is that of the process on cores; REPEATS (default 1) each load the tokenizer anew, so that its caches are empty; the fastest counts.
"""
import importlib.metadata
import os
import sys
import tempfile
import time
import zlib

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


def cut(data, size=10000):
    """Documents that end behind an empty line, cut where bench cuts them."""
    docs, a = [], 0
    while a < len(data):
        b = data.find(b"\n\n", a + size)
        b = len(data) if b < 0 else b + 2
        docs.append(data[a:b].decode())
        a = b
    return docs


def checksum(out):
    """How many ids, and the CRC-32 of all of them in a row, as bench prints; out is what a peer gave for all documents."""
    import array
    if isinstance(out, tuple):  # fastokens: one buffer of ids and one of borders
        flat = memoryview(out[0]).cast("B")
    elif isinstance(out, list):
        flat = array.array("I")
        for ids in out:
            flat.extend(ids)
        flat = memoryview(flat).cast("B")
    else:  # gigatoken: an awkward array
        import awkward
        import numpy
        flat = memoryview(numpy.ascontiguousarray(awkward.to_numpy(awkward.flatten(out)), "<u4")).cast("B")
    return len(flat) // 4, zlib.crc32(flat)


def encoder(peer, path, docs, data):
    """A function that encodes everything, and what it returns made a list of lists."""
    if peer in ("gigatoken", "gigatoken-file"):
        import gigatoken
        tok = gigatoken.Tokenizer(path)
        if peer == "gigatoken":
            return lambda: tok.encode_batch(docs, parallel=False)
        name = os.path.join(tempfile.gettempdir(), "bench-peers-%d.txt" % os.getpid())
        with open(name, "wb") as f:
            f.write(data)
        source = gigatoken.TextFileSource([name], separator=b"\x00\x00")
        return lambda: (tok.encode_files(source, parallel=False), os.unlink(name))[0]
    if peer == "fastokens":
        import fastokens
        tok = fastokens.Tokenizer.from_file(path)
        return lambda: tok.encode_batch_flat(docs)
    if peer == "hf":
        import tokenizers
        tok = tokenizers.Tokenizer.from_file(path)
        for name in ("no_padding", "no_truncation"):
            if hasattr(tok, name):
                getattr(tok, name)()
        return lambda: [tok.encode(d, add_special_tokens=False).ids for d in docs]
    raise SystemExit("unknown peer " + peer)


def main():
    peer, model, text = sys.argv[1:4]
    size = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    repeats = int(sys.argv[5]) if len(sys.argv) > 5 else 1
    data = open(text, "rb").read()
    while size and size < len(data) and data[size] & 0xC0 == 0x80:
        size += 1
    data = data[:size or len(data)]
    docs = cut(data)
    path = os.path.join(model, "tokenizer.json")
    best, load = 1e9, 1e9
    for _ in range(repeats):
        t = time.process_time()
        run = encoder(peer, path, docs, data)
        load = min(load, time.process_time() - t)
        t = time.process_time()
        out = run()
        best = min(best, time.process_time() - t)
    n, crc = checksum(out)
    dist = {"gigatoken-file": "gigatoken", "hf": "tokenizers"}.get(peer, peer)
    print("%s\t%s-%s\tload %.0f ms\t%d bytes\t%.1f MB/s\t%d ids\t%08x" % (
        model, peer, importlib.metadata.version(dist), load * 1e3, len(data), len(data) / best / 1e6, n, crc))


if __name__ == "__main__":
    main()

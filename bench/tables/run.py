#!/usr/bin/env python3
"""See README."""
import argparse, json, os, random, resource, subprocess, sys, tempfile, time
import pyarrow as pa, pyarrow.parquet as pq

pa.set_cpu_count(1)
pa.set_io_thread_count(1)
WAYS = [("jsonl", None), ("parquet", "none"), ("parquet", "snappy"), ("parquet", "zstd"), ("parquet", "gzip"), ("parquet", "lz4"),
        ("arrow", None), ("arrow", "lz4"), ("arrow", "zstd")]


def make(folder, texts):
    text = "".join(open(p, encoding="utf-8", errors="ignore").read(40 << 20) for p in texts)
    rnd = random.Random(3)

    def message():
        n = rnd.choice([50, 200, 500, 1500])
        i = rnd.randrange(len(text) - n)
        return text[i:i + n]

    rows = [[{"role": "user", "content": message()}, {"role": "assistant", "content": message()}] for _ in range(100000)]
    kind = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    table = pa.table({"id": range(len(rows)), "messages": pa.array(rows, kind), "source": [rnd.choice("abc") for _ in rows]})
    for ext, codec in WAYS:
        path = os.path.join(folder, "%s.%s" % (codec, ext))
        if ext == "parquet":
            pq.write_table(table, path, compression=codec, row_group_size=20000)
        elif ext == "arrow":
            opt = pa.ipc.IpcWriteOptions(compression=codec)
            with pa.OSFile(path, "wb") as f, pa.ipc.new_stream(f, table.schema, options=opt) as w:
                w.write_table(table, max_chunksize=1000)
        else:
            with open(path, "w") as f:
                for row in table.to_pylist():
                    f.write(json.dumps(row, ensure_ascii=False) + "\n")
    return os.path.getsize(os.path.join(folder, "None.jsonl"))


def batches(path):
    if path.endswith(".parquet"):
        return pq.ParquetFile(path, memory_map=True).iter_batches(1000, use_threads=False)
    return pa.ipc.open_stream(pa.memory_map(path), options=pa.ipc.IpcReadOptions(use_threads=False))


def columns(path):
    for b in batches(path):
        b.validate(full=True)


def rows(path):
    for b in batches(path):
        b.to_pylist()


def cpu(who):
    u = resource.getrusage(who)
    return u.ru_utime + u.ru_stime


def least(fn, who, n=5):
    best = 1e9
    for _ in range(n):
        t = cpu(who)
        fn()
        best = min(best, cpu(who) - t)
    return best


def main():
    arg = argparse.ArgumentParser()
    arg.add_argument("gen_rows")
    arg.add_argument("text", nargs="+")
    arg.add_argument("-o")
    arg = arg.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        folder = arg.o or tmp
        size = make(folder, arg.text) / 1e6
        print("%.0f MB of JSON lines, pyarrow %s\n%-16s %8s %8s %10s   MB/s" % (size, pa.__version__, "", "ax", "pyarrow", "to_pylist"))
        for ext, codec in WAYS:
            path = os.path.join(folder, "%s.%s" % (codec, ext))
            ax = least(lambda: subprocess.run([arg.gen_rows, path], stdout=subprocess.DEVNULL, check=True), resource.RUSAGE_CHILDREN)
            line = "%-16s %8.0f" % ("%s %s" % (ext, codec or ""), size / ax)
            if ext != "jsonl":
                line += " %8.0f %10.0f" % (size / least(lambda: columns(path), resource.RUSAGE_SELF),
                                           size / least(lambda: rows(path), resource.RUSAGE_SELF, 2))
            print(line, flush=True)


main()

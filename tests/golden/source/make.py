#!/usr/bin/env python3
"""Makes the files of this folder (pyarrow 26, polars 2.1) and, of the small ones, the fuzz corpora parquet and arrow.

Each NAME.parquet or NAME.arrow is told row by row in NAME.EXT.jsonl, as pyarrow reads it. Run in the root of the tree.
What pyarrow does not write (lists of old writers, columns without annotation) is put together here, byte by byte.
"""
import datetime, decimal, json, os, shutil, struct, sys, uuid

sys.dont_write_bytecode = True
sys.argv = ["tables.py"]
here = os.path.dirname(os.path.abspath(__file__))
root = os.path.dirname(os.path.dirname(os.path.dirname(here)))
source = open(os.path.join(root, "tests/parity/tables.py")).read().replace("sys.exit(main())", "")
exec(source)

chat = pa.table({
    "id": pa.array([1, 2, None, 4], pa.int64()),
    "messages": pa.array([
        [{"role": "user", "content": "Hello \"you\"\n", "tool_calls": None},
         {"role": "assistant", "content": "h\u00e9llo \u4e2d\u6587 \U0001f600", "tool_calls": ["a", None]}],
        [], None, [None, {"role": "system", "content": None, "tool_calls": []}]],
        pa.list_(pa.struct([("role", pa.string()), ("content", pa.string()), ("tool_calls", pa.list_(pa.string()))]))),
    "tags": pa.array([["x", "y"], None, ["x"], []], pa.list_(pa.string())),
    "arguments": pa.array([[("k", 1), ("l", None)], [], None, [("m", 2)]], pa.map_(pa.string(), pa.int32())),
})
n = 40
types = pa.table({
    "b": pa.array([i % 3 == 0 if i % 5 else None for i in range(n)]),
    "i8": pa.array([(i * 37) % 256 - 128 for i in range(n)], pa.int8()),
    "u64": pa.array([2 ** 64 - 1 - i for i in range(n)], pa.uint64()),
    "u32": pa.array([2 ** 32 - 1 - i for i in range(n)], pa.uint32()),
    "f16": pa.array(np.array([i / 4 for i in range(n)], np.float16)),
    "f32": pa.array([i / 10 for i in range(n)], pa.float32()),
    "f64": pa.array([i / 10 if i % 7 else None for i in range(n)], pa.float64()),
    "dec": pa.array([decimal.Decimal(i - 20).scaleb(-2) for i in range(n)], pa.decimal128(9, 2)),
    "day": pa.array([datetime.date(1970, 1, 1) + datetime.timedelta(days=1000 * (i - 20)) for i in range(n)]),
    "ts": pa.array([datetime.datetime(2024, 2, 29, 23, 59, 59, 1000 * i) for i in range(n)], pa.timestamp("us", "UTC")),
    "t": pa.array([datetime.time(i % 24, i, i, i) for i in range(n)], pa.time64("us")),
    "bin": pa.array([b"text", b"\xff\xfe", None, b""] * (n // 4)),
    "s": pa.array(["s%d" % (i % 3) if i % 4 else None for i in range(n)]),
    "words": pa.array(["prefix-%s-%d" % ("a" * (i % 5), i) for i in range(n)], pa.large_string()),
    "js": pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a": [1, null]}', "3", None, '"s"'] * (n // 4))),
    "id": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([uuid.UUID(int=i).bytes for i in range(n)], pa.binary(16))),
    "none": pa.nulls(n),
    "fix": pa.array([[i, i + 1] for i in range(n)], pa.list_(pa.int16(), 2)),
})
views = pa.table({
    "v": pa.array(["short", "longer than twelve bytes", None], pa.string_view()),
    "d": pa.array(["x", "y", "x"]).dictionary_encode(),
    "dl": pa.array([["p", "q"], None, ["p"]], pa.list_(pa.dictionary(pa.int8(), pa.string()))),
    "lv": pa.array([[1, 2], [], None], pa.list_view(pa.int64())),
    "run": pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["r", None])),
    "un": pa.UnionArray.from_dense(pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32()),
                                   [pa.array([7, 8]), pa.array(["u"])]),
    "dur": pa.array([datetime.timedelta(days=1, seconds=1), datetime.timedelta(seconds=-1), None], pa.duration("us")),
})


def tell(name, table):
    rows = expected_any(table)
    with open(os.path.join(here, name + ".jsonl"), "w") as f:
        for row in rows:
            f.write(json.dumps(row, ensure_ascii=False) + "\n")


def expected_any(table):
    return [{f.name: v if pa.types.is_union(f.type) else plain(v, f.type) for f, v in zip(table.schema, row.values())}
            for row in table.to_pylist()]


def parquet(name, table, **how):
    pq.write_table(table, os.path.join(here, name), **how)
    tell(name, table)


def arrow(name, tables, file=False, **how):
    opt = pa.ipc.IpcWriteOptions(**how)
    with pa.OSFile(os.path.join(here, name), "wb") as f:
        with (pa.ipc.new_file if file else pa.ipc.new_stream)(f, tables[0].schema, options=opt) as w:
            for t in tables:
                w.write_table(t, max_chunksize=3)
    tell(name, pa.concat_tables(tables))


# --- Thrift's compact protocol, as far as it takes ---

def varint(v):
    out = b""
    while v > 127:
        out += bytes([v & 127 | 128])
        v >>= 7
    return out + bytes([v])


def zz(v):
    return varint((v << 1) ^ (v >> 63))


def st(*fields):
    """A struct of (id, type, bytes): types 5 i32, 6 i64, 8 binary, 9 list, 12 struct."""
    out, last = b"", 0
    for i, t, b in fields:
        out += bytes([(i - last) << 4 | t]) + b
        last = i
    return out + b"\0"


def i32(i, v): return (i, 5, zz(v))
def i64(i, v): return (i, 6, zz(v))
def bn(i, s): return (i, 8, varint(len(s)) + s)
def lst(i, t, items): return (i, 9, (bytes([len(items) << 4 | t]) if len(items) < 15 else bytes([0xf0 | t]) + varint(len(items))) + b"".join(items))
def sub(i, b): return (i, 12, b)


def node(name, repetition, type=None, children=0, converted=None, width=None):
    f = ([i32(1, type)] if type is not None else []) + ([i32(2, width)] if width else [])
    f += [i32(3, repetition)] if repetition is not None else []
    f += [bn(4, name.encode())] + ([i32(5, children)] if children else []) + ([i32(6, converted)] if converted is not None else [])
    return st(*f)


def runs(levels, bits):
    """Levels as runs of one value, their length in front."""
    out, i = b"", 0
    while i < len(levels):
        j = i
        while j < len(levels) and levels[j] == levels[i]:
            j += 1
        out += varint((j - i) << 1) + bytes([levels[i]]) * (1 if bits else 0)
        i = j
    return struct.pack("<I", len(out)) + out


def raw(name, schema, columns, rows):
    """columns: (type, path, rep levels or None, def levels or None, values as bytes)"""
    data, chunks = b"PAR1", []
    for type, path, rep, dfn, values in columns:
        body = (runs(rep, 1) if rep else b"") + (runs(dfn, 1) if dfn else b"") + values
        count = len(rep or dfn)
        at = len(data)
        data += st(i32(1, 0), i32(2, len(body)), i32(3, len(body)), sub(5, st(i32(1, count), i32(2, 0), i32(3, 3), i32(4, 3)))) + body
        meta = st(i32(1, type), lst(2, 5, [zz(0), zz(3)]), lst(3, 8, [varint(len(p)) + p.encode() for p in path]), i32(4, 0),
                  i64(5, count), i64(6, len(data) - at), i64(7, len(data) - at), i64(9, at))
        chunks.append(st(i64(2, at), sub(3, meta)))
    footer = st(i32(1, 1), lst(2, 12, schema), i64(3, rows), lst(4, 12, [st(lst(1, 12, chunks), i64(2, len(data)), i64(3, rows))]))
    data += footer + struct.pack("<I", len(footer)) + b"PAR1"
    path = os.path.join(here, name)
    open(path, "wb").write(data)
    if not name.endswith(".bad"):
        tell(name, pq.read_table(path))


def ints(*v): return struct.pack("<%di" % len(v), *v)
def strs(*v): return b"".join(struct.pack("<I", len(s)) + s for s in v)


def short_child(table, name):
    """A struct of 78 values whose child has 77, which pyarrow would not write."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as w:
        w.write_table(table)
    data = sink.getvalue().to_pybytes()
    nodes, one = struct.pack("<qqqq", 77, 0, 77, 0), struct.pack("<q", 77)
    assert data.count(nodes) == 1 and data.count(one) == 3
    data = data.replace(nodes, b"NODES").replace(one, struct.pack("<q", 78)).replace(b"NODES", struct.pack("<qqqq", 78, 0, 77, 0))
    open(os.path.join(here, name), "wb").write(data)


def too_many(name):
    """Values of 2^24 bytes, said to be 2^40: their bytes are 2^64, which is 0 in 64 bits."""
    table = pa.table({"t": pa.array([b"\xff" * (1 << 24)], pa.binary(1 << 24))})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as w:
        w.write_table(table)
    data, one = sink.getvalue().to_pybytes(), struct.pack("<q", 1)
    assert data.count(one) == 2
    open(os.path.join(here, name), "wb").write(data.replace(one, struct.pack("<q", 1 << 40)))


def main_make():
    parquet("chat-snappy.parquet", chat, compression="snappy")
    parquet("chat-v2-zstd.parquet", chat, compression="zstd", data_page_version="2.0", row_group_size=2, write_page_checksum=True)
    parquet("types-gzip.parquet", types, compression="gzip", data_page_size=64, write_batch_size=7)
    parquet("types-v2-lz4.parquet", types, compression="lz4", data_page_version="2.0", dictionary_pagesize_limit=20)
    encodings = {"words": "DELTA_BYTE_ARRAY", "s": "DELTA_LENGTH_BYTE_ARRAY", "u64": "DELTA_BINARY_PACKED", "i8": "DELTA_BINARY_PACKED",
                 "f64": "BYTE_STREAM_SPLIT", "f16": "BYTE_STREAM_SPLIT", "b": "RLE", "id": "BYTE_STREAM_SPLIT"}
    parquet("encodings.parquet", types, compression="none", use_dictionary=False, column_encoding=encodings,
            data_page_size=200, write_batch_size=9, write_page_checksum=True)
    parquet("empty.parquet", chat.slice(0, 0))
    parquet("int96.parquet", pa.table({"t": pa.array([datetime.datetime(1969, 7, 20, 20, 17, 40, 5), None], pa.timestamp("us"))}),
            use_deprecated_int96_timestamps=True)
    # a repeated leaf and a repeated group without any annotation
    raw("bare-repeated.parquet", [node("schema", None, children=2), node("x", 2, 1), node("g", 2, children=1), node("y", 1, 1)],
        [(1, ["x"], [0, 1, 0, 0], [1, 1, 0, 1], ints(1, 2, 3)), (1, ["g", "y"], [0, 0, 1, 0], [0, 2, 1, 2], ints(4, 5))], 3)
    # lists of two levels: a leaf, "array", "NAME_tuple", a group of two fields
    raw("two-levels.parquet", [node("schema", None, children=3), node("a", 1, children=1, converted=3), node("array", 2, 6, converted=0),
                               node("b", 0, children=1, converted=3), node("array", 2, children=1), node("z", 0, 1),
                               node("c", 1, children=1, converted=3), node("bag", 2, children=2), node("p", 0, 1), node("q", 1, 1)],
        [(6, ["a", "array"], [0, 1, 0, 0], [2, 2, 1, 0], strs(b"one", b"two")),
         (1, ["b", "array", "z"], [0, 0, 1, 0], [0, 1, 1, 1], ints(1, 2, 3)),
         (1, ["c", "bag", "p"], [0, 1, 0, 0], [2, 2, 0, 1], ints(7, 8)), (1, ["c", "bag", "q"], [0, 1, 0, 0], [3, 2, 0, 1], ints(9))], 3)
    # text without annotation, and bytes that are none
    raw("plain-bytes.parquet", [node("schema", None, children=1), node("t", 1, 6)],
        [(6, ["t"], None, [1, 0, 1], strs(b"text", b"\xff"))], 3)
    # columns whose levels contradict each other: a struct that is there for one, elements that are not there for the other
    pair = [node("p", 1, 1), node("q", 1, 1)]
    raw("def-levels.parquet.bad", [node("schema", None, children=1), node("s", 1, children=2)] + pair,
        [(1, ["s", "p"], None, [2, 2], ints(1, 2)), (1, ["s", "q"], None, [2, 0], ints(1))], 2)
    raw("rep-levels.parquet.bad", [node("schema", None, children=1), node("l", 2, children=2)] + pair,
        [(1, ["l", "p"], [0, 1], [2, 2], ints(1, 2)), (1, ["l", "q"], [0, 0], [2, 2], ints(1, 2))], 1)
    raw("leaf-levels.parquet.bad", [node("schema", None, children=1), node("s", 1, children=2), node("p", 0, 1), node("q", 0, 1)],
        [(1, ["s", "p"], None, [1, 1], ints(1, 2)), (1, ["s", "q"], None, [1, 0], ints(1))], 2)
    raw("more-values.parquet.bad", [node("schema", None, children=1), node("q", 1, 1)], [(1, ["q"], None, [1, 1], ints(1, 2))], 1)
    short_child(pa.table({"s": [{"q": i} for i in range(77)]}), "short-child.arrow.bad")
    too_many("too-many.arrow.bad")
    arrow("chat-stream.arrow", [chat, chat])
    arrow("chat-file-lz4.arrow", [chat, chat], file=True, compression="lz4")
    arrow("types-zstd.arrow", [types], compression="zstd")
    # values of 3 bytes at the end of memory
    arrow("narrow-zstd.arrow", [pa.table({"b": pa.array([b"abc", b"def", b"ghi", b"jkl", b"mno"], pa.binary(3))})], compression="zstd")
    arrow("types-file.arrow", [types.slice(3, 20)], file=True)
    arrow("views.arrow", [views])
    import polars  # what lies in front of its first batch is no message
    frame = polars.DataFrame({"a": [1, None, 3], "t": ["x", None, "a text of more than twelve bytes"], "l": [["p"], [], None]})
    frame.write_ipc(os.path.join(here, "polars.arrow"), compression="lz4")
    tell("polars.arrow", pa.ipc.open_file(os.path.join(here, "polars.arrow")).read_all())
    delta = [pa.table({"d": pa.array(v).dictionary_encode()}) for v in (["a", "b"], ["a", "b", "c"], ["a", "b", "c", None, "a"])]
    arrow("delta.arrow", delta, emit_dictionary_deltas=True)
    arrow("replaced.arrow", [pa.table({"d": pa.array(v).dictionary_encode()}) for v in (["a", "b"], ["c", "b"])])
    for name in os.listdir(here):
        kind = name.rsplit(".", 1)[-1]
        if kind in ("parquet", "arrow") and os.path.getsize(os.path.join(here, name)) < 9000:
            shutil.copy(os.path.join(here, name), os.path.join(root, "tests/fuzz/corpus", kind, name))


main_make()

#!/usr/bin/env python3
"""Random tables written by pyarrow (Parquet, Arrow IPC) and read by ax, compared row by row with pyarrow's to_pylist; random
CSV files compared with pandas.

usage: tables.py GEN_ROWS [N [SEED [FOLDER]]]     N: tables; each is written in several ways
AX_KEEP: a folder that files which differ are copied to.
Prints the number of files and rows compared and the differences, which are shown; exit status 1 if there are any.
"""
import datetime, decimal, json, math, os, random, shutil, subprocess, sys, tempfile, uuid
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

RND = random.Random(1)


def text():
    k = RND.random()
    if k < 0.15:
        return ""
    if k < 0.5:
        return "".join(RND.choice("abcdefgh \n\t\"\\/\r\b\f\x01\x1f\x7f\u00e9\u4e2d\U0001f600") for _ in range(RND.randrange(30)))
    if k < 0.97:
        return RND.choice(["user", "assistant", "system", "hello world", "a" * RND.randrange(40)])
    return "".join(chr(RND.randrange(32, 0x2000)) for _ in range(RND.randrange(3000)))


def scalar_types():
    return [
        pa.string(), pa.string(), pa.string(), pa.large_string(), pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(),
        pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.binary(), pa.binary(5),
        pa.large_binary(), pa.date32(), pa.date64(), pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us"),
        pa.timestamp("us", "UTC"), pa.time32("ms"), pa.time64("us"), pa.decimal128(12, 3), pa.decimal128(38, 0),
        pa.decimal256(60, 20), pa.decimal128(5, 5), pa.null(), pa.json_(), pa.uuid(),
    ]


def arrow_only():
    return [pa.string_view(), pa.binary_view(), pa.duration("s"), pa.duration("us"), pa.time32("s"),
            pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.uint16(), pa.large_string()), pa.decimal32(7, 2),
            pa.decimal64(15, 4), "run_ends", "list_view", "union", "list_dict"]


def random_type(depth, arrow):
    k = RND.random()
    if depth < 3 and k < 0.45:
        j = RND.randrange(6)
        if j == 0:
            return pa.list_(random_type(depth + 1, arrow))
        if j == 1:
            return pa.large_list(random_type(depth + 1, arrow))
        if j == 2:
            return pa.list_(random_type(depth + 1, arrow), RND.randrange(1, 4))
        if j == 3:
            keys = RND.choice([pa.string(), pa.string(), pa.int32()])
            return pa.map_(keys, random_type(depth + 1, arrow))
        n = RND.randrange(1, 4)
        types = [random_type(depth + 1, arrow) for _ in range(n)]
        return pa.struct([pa.field("f%d" % i, t, pa.types.is_null(t) or RND.random() < 0.8) for i, t in enumerate(types)])
    if arrow and k > 0.85:
        t = RND.choice(arrow_only())
        if t == "list_view":
            return pa.list_view(random_type(depth + 1, False)) if depth < 3 else pa.string_view()
        if t == "run_ends":
            return pa.run_end_encoded(pa.int32(), pa.string()) if depth == 0 else pa.string()
        if t == "union":
            return pa.string()
        if t == "list_dict":
            return pa.list_(pa.dictionary(pa.int16(), pa.string()))
        return t
    return RND.choice(scalar_types())


def value(t, nullable, p_null):
    if nullable and RND.random() < p_null:
        return None
    if isinstance(t, pa.JsonType):
        return json.dumps(RND.choice([{"a": [1, None, "x"]}, [], "s", 3, 1.5, None, {"k": {"z": True}}]))
    if isinstance(t, pa.UuidType):
        return uuid.UUID(int=RND.getrandbits(128)).bytes
    if pa.types.is_dictionary(t) or pa.types.is_run_end_encoded(t):
        return value(t.value_type, nullable, p_null)
    if pa.types.is_null(t):
        return None
    if pa.types.is_boolean(t):
        return RND.random() < 0.5
    if pa.types.is_string(t) or pa.types.is_large_string(t) or t == pa.string_view():
        return text()
    if pa.types.is_fixed_size_binary(t):
        return RND.choice([b"abcde", bytes(RND.randrange(256) for _ in range(5))])
    if pa.types.is_binary(t) or pa.types.is_large_binary(t) or t == pa.binary_view():
        return RND.choice([b"", b"text", "\u00e9t\u00e9 long enough to be outside".encode(), bytes(RND.randrange(256) for _ in range(20))])
    if pa.types.is_integer(t):
        bits = t.bit_width
        lo, hi = (-(1 << bits - 1), (1 << bits - 1) - 1) if pa.types.is_signed_integer(t) else (0, (1 << bits) - 1)
        return RND.choice([0, 1, hi, lo, RND.randint(lo, hi), min(hi, RND.randrange(100))])
    if pa.types.is_float16(t):
        return np.float16(RND.choice([0.0, 1.5, -2.25, 6e-8, 65504.0, float("inf")]))
    if pa.types.is_float32(t):
        return float(np.float32(RND.choice([0.1, -1e-30, 3.0, RND.random(), 1e30, float("nan")])))
    if pa.types.is_float64(t):
        return RND.choice([0.1, -0.0, 5e-324, 1.7e308, 3.0, RND.random() * 10 ** RND.randrange(-20, 20), float("-inf"), 1e15, 1e16, 123456789012345680.0])
    if pa.types.is_date(t):
        return datetime.date(1, 1, 1) + datetime.timedelta(days=RND.randrange(3652058))
    if pa.types.is_timestamp(t):
        d = datetime.datetime(1800, 1, 1) + datetime.timedelta(seconds=RND.randrange(10 ** 10), microseconds=RND.choice([0, 0, 123456, 500000]))
        if t.unit == "s":
            d = d.replace(microsecond=0)
        if t.unit == "ms":
            d = d.replace(microsecond=d.microsecond // 1000 * 1000)
        return d.replace(tzinfo=datetime.timezone.utc) if t.tz else d
    if pa.types.is_time(t):
        us = 0 if t.unit == "s" else RND.choice([0, 123000])
        return datetime.time(RND.randrange(24), RND.randrange(60), RND.randrange(60), us)
    if pa.types.is_duration(t):
        us = 0 if t.unit == "s" else RND.choice([0, 5])
        return datetime.timedelta(days=RND.randrange(-3, 400), seconds=RND.randrange(86400), microseconds=us)
    if pa.types.is_decimal(t):
        m = 10 ** t.precision - 1
        return decimal.Decimal(RND.choice([0, 1, -1, m, -m, RND.randint(-m, m)])).scaleb(-t.scale, decimal.Context(prec=100))
    if pa.types.is_struct(t):
        return {f.name: value(f.type, f.nullable, p_null) for f in t}
    if pa.types.is_map(t):
        n = RND.choice([0, 1, 2, 3])
        keys = {}
        for _ in range(n):
            keys[value(t.key_type, False, 0)] = value(t.item_type, True, p_null)
        return list(keys.items())
    if pa.types.is_fixed_size_list(t):
        return [value(t.value_type, True, p_null) for _ in range(t.list_size)]
    n = RND.choice([0, 0, 1, 2, 3, RND.randrange(20)])
    return [value(t.value_type, True, p_null) for _ in range(n)]


def random_table(arrow):
    n = RND.choice([0, 1, 2, 7, 100, 513, RND.randrange(2000)])
    fields, columns = [], []
    for i in range(RND.randrange(1, 5)):
        t = random_type(0, arrow)
        nullable = RND.random() < 0.8 or pa.types.is_null(t)
        p_null = RND.choice([0, 0.1, 0.5, 1]) if nullable else 0
        rows = n if n < 600 or not pa.types.is_nested(t) else n
        few = [value(t, nullable, p_null) for _ in range(RND.randrange(1, 30))]
        same = RND.random() < 0.3
        v = [RND.choice(few) if same else value(t, nullable, p_null) for _ in range(rows)]
        try:
            columns.append(build(v, t))
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid, TypeError):
            t = pa.string()
            columns.append(pa.array([text() for _ in range(rows)], t))
            nullable = True
        fields.append(pa.field("col %d\"\u00e9" % i if RND.random() < 0.1 else "c%d" % i, columns[-1].type, nullable))
    table = pa.table(columns, schema=pa.schema(fields))
    try:
        table.validate(full=True)
    except pa.ArrowInvalid:  # indexes of 8 bits that ran over
        return random_table(arrow)
    return table


def build(v, t):
    if isinstance(t, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(t, pa.array(v, t.storage_type))
    if pa.types.is_run_end_encoded(t):
        import pyarrow.compute as pc
        return pc.run_end_encode(pa.array(v, t.value_type), run_end_type=t.run_end_type)
    return pa.array(v, t)


def plain(v, t):
    """What ax makes of a Python value of to_pylist."""
    if v is None:
        return None
    if isinstance(t, pa.JsonType):
        return json.loads(v)
    if isinstance(t, pa.UuidType):
        return str(v)
    if pa.types.is_dictionary(t) or pa.types.is_run_end_encoded(t):
        return plain(v, t.value_type)
    if isinstance(v, bytes):
        try:
            return v.decode()
        except UnicodeDecodeError:
            return None
    if isinstance(v, decimal.Decimal):
        return format(v, "f")
    if isinstance(v, (datetime.date, datetime.time, datetime.timedelta)):
        return str(v)
    if pa.types.is_struct(t):
        return {f.name: plain(v[f.name], f.type) for f in t}
    if pa.types.is_map(t):
        pairs = [(plain(k, t.key_type), plain(x, t.item_type)) for k, x in v]
        return dict(pairs) if t.key_type in (pa.string(), pa.large_string(), pa.string_view()) else [list(p) for p in pairs]
    if isinstance(v, list):
        return [plain(x, t.value_type) for x in v]
    if isinstance(v, np.floating):
        return float(v)
    return v


def expected(table):
    return [{f.name: plain(row[f.name], f.type) for f in table.schema} for row in table.to_pylist()]


def equal(x, y):
    if isinstance(x, float) and isinstance(y, float):
        return x == y and math.copysign(1, x) == math.copysign(1, y) or (math.isnan(x) and math.isnan(y))
    if type(x) is not type(y):
        return False
    if isinstance(x, dict):
        return list(x) == list(y) and all(equal(x[k], y[k]) for k in x)
    if isinstance(x, list):
        return len(x) == len(y) and all(map(equal, x, y))
    return x == y


def write_parquet(table, path):
    how = dict(compression=RND.choice(["none", "snappy", "gzip", "zstd", "lz4"]), data_page_version=RND.choice(["1.0", "2.0"]),
               write_page_checksum=RND.random() < 0.5, data_page_size=RND.choice([64, 1000, 1 << 20]),
               use_dictionary=RND.random() < 0.6, row_group_size=RND.choice([10, 333, 1 << 20]),
               dictionary_pagesize_limit=RND.choice([50, 1000, 1 << 20]), write_batch_size=RND.choice([1, 10, 1024]),
               store_schema=True, use_compliant_nested_type=RND.random() < 0.8, max_rows_per_page=RND.choice([3, 100, 20000]))
    if not how["use_dictionary"]:
        enc = {}
        leaves(table.schema, enc)
        how["column_encoding"] = enc or None
    try:
        pq.write_table(table, path, **how)
    except (pa.ArrowException, OSError):
        how.pop("column_encoding", None)
        pq.write_table(table, path, **how)
    return how


def leaves(schema, enc):
    """An encoding for each flat column that has a choice."""
    for f in schema:
        t = f.type
        c = {"BYTE_ARRAY": ["PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"],
             "INT": ["PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"], "FLOAT": ["PLAIN", "BYTE_STREAM_SPLIT"],
             "FIXED": ["PLAIN", "BYTE_STREAM_SPLIT", "DELTA_BYTE_ARRAY"], "BOOL": ["PLAIN", "RLE"]}
        kind = ("BYTE_ARRAY" if pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_binary(t) else
                "INT" if pa.types.is_integer(t) or pa.types.is_timestamp(t) else
                "FLOAT" if pa.types.is_floating(t) and t != pa.float16() else
                "FIXED" if pa.types.is_fixed_size_binary(t) or pa.types.is_decimal128(t) or t == pa.float16() else
                "BOOL" if pa.types.is_boolean(t) else None)
        if kind:
            enc[f.name] = RND.choice(c[kind])
        elif t in (pa.list_(pa.string()), pa.large_list(pa.string())):
            enc[f.name + ".list.element"] = RND.choice(c["BYTE_ARRAY"])


def write_arrow(table, path):
    how = dict(stream=RND.random() < 0.5, compression=RND.choice([None, "lz4", "zstd"]), chunk=RND.choice([1, 100, None]),
               delta=RND.random() < 0.5)
    opt = pa.ipc.IpcWriteOptions(compression=how["compression"], emit_dictionary_deltas=how["delta"])
    with pa.OSFile(path, "wb") as f:
        w = (pa.ipc.new_stream if how["stream"] else pa.ipc.new_file)(f, table.schema, options=opt)
        with w:
            w.write_table(table, max_chunksize=how["chunk"])
    return how


def write_csv(path):
    import csv
    n, cols = RND.randrange(40), RND.randrange(1, 5)
    names = ["a", "b,c", "x\"y", "text"][:cols]
    end = RND.choice(["\n", "\r\n"])
    with open(path, "w", newline="", encoding=RND.choice(["utf-8", "utf-8-sig"])) as f:
        w = csv.writer(f, delimiter="\t" if path.endswith(".tsv") else ",", lineterminator=end,
                       quoting=RND.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
        w.writerow(names)
        for _ in range(n):
            if RND.random() < 0.1:
                f.write(end)
            row = ["".join(RND.choice("ab 1,\"\n\t\u00e9'") for _ in range(RND.randrange(12))) for _ in range(cols)]
            w.writerow(row[:RND.randrange(1, cols + 1)] if RND.random() < 0.2 else row)
    return {}


def expected_csv(path):
    import pandas as pd
    d = pd.read_csv(path, sep="\t" if path.endswith(".tsv") else ",", dtype=str, keep_default_na=False, na_values=[""])
    return [{k: None if not isinstance(v, str) else v for k, v in row.items()} for row in d.to_dict("records")]


def compress(path):
    k = RND.random()
    if k < 0.08:
        import gzip
        data = gzip.compress(open(path, "rb").read(), 1)
        open(path + ".gz", "wb").write(data)
        return path + ".gz"
    if k < 0.16:
        data = pa.compress(open(path, "rb").read(), codec="zstd", asbytes=True)
        open(path + ".zst", "wb").write(data)
        return path + ".zst"
    return path


def read(gen, paths):
    out = subprocess.run([gen] + paths, stdout=subprocess.PIPE, check=True).stdout
    files, rows = [], []
    for line in out.split(b"\n"):
        if line == b".":
            files.append(rows)
            rows = []
        elif line:
            rows.append(line.decode())
    return files


def main():
    gen, n = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    RND.seed(seed)
    n_file = n_row = bad = 0
    with tempfile.TemporaryDirectory(dir=sys.argv[4] if len(sys.argv) > 4 else None) as tmp:
        for k in range(0, n, 10):
            todo = []
            for i in range(10):
                arrow = RND.random() < 0.4
                table = random_table(arrow)
                want = expected(table)
                for j in range(2):
                    if not arrow and j == 0:
                        path = os.path.join(tmp, "t%d-%d.parquet" % (i, j))
                        try:
                            how = write_parquet(table, path)
                        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
                            continue
                        todo.append((compress(path), want, how, table.schema))
                    path = os.path.join(tmp, "t%d-%d.arrow" % (i, j))
                    how = write_arrow(table, path)
                    todo.append((compress(path), want, how, table.schema))
                path = os.path.join(tmp, "t%d.%s" % (i, RND.choice(["csv", "tsv"])))
                write_csv(path)
                todo.append((path, expected_csv(path), {}, "CSV"))
            for (path, want, how, schema), got in zip(todo, read(gen, [t[0] for t in todo])):
                n_file += 1
                n_row += len(want)
                rows = []
                try:
                    rows = [json.loads(line) for line in got]
                    same = equal(rows, want)
                except ValueError:
                    same = False
                if not same:
                    bad += 1
                    if bad <= 5:
                        print("DIFFERENT", path, how, schema, *[line for line in got if line.startswith("!")])
                        if os.environ.get("AX_KEEP"):
                            shutil.copy(path, os.environ["AX_KEEP"])
                        for i in range(max(len(got), len(want))):
                            g = rows[i] if i < len(rows) else got[i:i + 1]
                            w = want[i] if i < len(want) else None
                            if not equal(g, w):
                                print(" row", i, "\n  got ", str(g)[:600], "\n  want", str(w)[:600])
                                break
                os.unlink(path)
    print("%d files, %d rows, %d different" % (n_file, n_row, bad))
    return bad > 0


sys.exit(main())

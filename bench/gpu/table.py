#!/usr/bin/env python3
"""The table of bench-gpu: measure single ops of ax and of PyTorch in turn, and write what was measured as Markdown.

  table.py ops --out FILE.jsonl [--ours CMD] [--torch CMD] [--groups A,B] [--rounds N] [--tiny] [--seconds S]
  table.py show FILE.jsonl...             the table, of ops and of steps (step.sh writes those)
  table.py list [--tiny]                  the cases

What is counted is in bench/gpu/README. Only the standard library is used.
"""
import argparse
import json
import random
import shlex
import statistics
import subprocess
import sys
import time

#       C, heads, kv heads, head dim, F, V, layers
MODELS = {
    "0.5B": (896, 14, 2, 64, 4864, 151936, 24),
    "1.5B": (1536, 12, 2, 128, 8960, 151936, 28),
    "7B": (3584, 28, 4, 128, 18944, 152064, 28),
}
TINY = {"tiny": (64, 4, 2, 16, 96, 300, 2)}


class Case:
    def __init__(self, group, label, line, flop=0.0, bytes=0.0):
        self.group, self.label, self.line, self.flop, self.bytes = group, label, line, flop, bytes


def documents(capacity, rows, seed=1):
    """Lengths of documents as fine-tuning sets have them (log-normal, median 460, sigma 1), packed first-fit into rows."""
    r, room, out = random.Random(seed), [], []
    while len(room) <= rows:
        n = max(8, min(capacity, int(r.lognormvariate(6.14, 1.0))))
        at = next((i for i, x in enumerate(room) if x >= n), None)
        if at is None:
            room.append(capacity)
            out.append([])
            at = len(room) - 1
        room[at] -= n
        out[at].append(n)
    return [n for row in out[:rows] for n in row]


def attention(group, label, heads, kv, dim, lengths):
    words, n = [], 0
    for i, x in enumerate(lengths):
        n += 1
        if i + 1 == len(lengths) or lengths[i + 1] != x:
            words.append("%dx%d" % (x, n))
            n = 0
    flop = sum(2.0 * x * x * heads * dim for x in lengths)  # the causal half of two products
    args = "%d %d %d %s" % (heads, kv, dim, " ".join(words))
    return [Case(group, label + ", forward", "attn_fwd " + args, flop), Case(group, label + ", backward", "attn_bwd " + args, 2.5 * flop)]


def cases(tiny=False):
    out = []
    models, n = (TINY, 64) if tiny else (MODELS, 16384)
    s = 64 if tiny else 8192
    out.append(Case("peak", "copy on the device", "copy %d" % (1 if tiny else 2048), bytes=2.0 * (1 if tiny else 2048) * 2**20))
    out.append(Case("peak", "matrix product %d^3" % s, "linear_fwd %d %d %d" % (s, s, s), 2.0 * s**3))
    for name, (c, nh, nkv, hd, f, v, _) in models.items():
        for what, i, o in (("qkv", c, (nh + 2 * nkv) * hd), ("o", nh * hd, c), ("gate, up", c, 2 * f), ("down", f, c)):
            for op, way in (("linear_fwd", "forward"), ("linear_dx", "input gradient"), ("linear_dw", "weight gradient")):
                out.append(Case("matmul", "%s %s %dx%d, %s" % (name, what, i, o, way), "%s %d %d %d" % (op, n, i, o), 2.0 * n * i * o))
    for dim, heads, kv in ((16, 4, 2),) if tiny else ((64, 14, 2), (128, 28, 4)):
        for t in (16, 32) if tiny else (1024, 4096, 8192, 16384):
            out += attention("attention", "d %d, T %d" % (dim, t), heads, kv, dim, [t] * (n // t))
        docs = [20, 7, 12, 25] if tiny else documents(4096, n // 4096)
        out += attention("attention", "d %d, %d documents in rows of 4096" % (dim, len(docs)), heads, kv, dim, docs)
    for name, (c, nh, nkv, hd, f, v, _) in models.items():
        nc, nf = float(n) * c, float(n) * f
        out.append(Case("memory", name + " RMSNorm with residual, forward", "rmsnorm_fwd %d %d" % (n, c), bytes=12 * nc))
        out.append(Case("memory", name + " RMSNorm with residual, backward", "rmsnorm_bwd %d %d" % (n, c), bytes=10 * nc))
        out.append(Case("memory", name + " SwiGLU, forward", "glu_fwd %d %d" % (n, f), bytes=6 * nf))
        out.append(Case("memory", name + " SwiGLU, backward", "glu_bwd %d %d" % (n, f), bytes=10 * nf))
        out.append(Case("memory", name + " rotary embedding", "rope %d %d %d %d" % (n, nh + nkv, hd, 32 if tiny else 4096), bytes=4.0 * n * (nh + nkv) * hd))
    name, (c, nh, nkv, hd, f, v, layers) = next(iter(models.items()))
    params = layers * (c * hd * 2 * (nh + nkv) + 3 * c * f) + v * c
    out.append(Case("memory", name + " embedding, backward", "embed_bwd %d %d %d" % (n, c, v), bytes=10.0 * n * c))
    out.append(Case("memory", "AdamW, %.0f M parameters" % (params / 1e6), "adamw %d" % params, bytes=30.0 * params))
    out.append(Case("memory", "AdamW, bf16 weights, moments, gradients", "adamw_bf16 %d" % params, bytes=14.0 * params))
    out.append(Case("memory", "sum of squares, %.0f M gradients" % (params / 1e6), "sumsq %d" % params, bytes=4.0 * params))
    for name, (c, nh, nkv, hd, f, v, _) in models.items():
        m = n if tiny else 8192
        out.append(Case("head", "%s output head and loss, forward and backward" % name, "head %d %d %d" % (m, c, v), 6.0 * m * c * v))
    return out


class Side:
    """A program that answers one line a case; None where it has no answer."""

    def __init__(self, name, command):
        self.name, self.said = name, ""
        self.p = subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        first = self.p.stdout.readline().strip()
        self.device = first[6:] if first.startswith("ready ") else None
        if not self.device:
            print("table.py: %s did not start: %s" % (command, first or "it printed nothing"), file=sys.stderr)

    def ask(self, line):
        try:
            self.p.stdin.write(line + "\n")
            self.p.stdin.flush()
            reply = self.p.stdout.readline().strip().split(None, 5)
        except BrokenPipeError:
            reply = []
        if len(reply) >= 2 and reply[0] == "ms":
            self.said = reply[5] if len(reply) > 5 else ""
            return float(reply[1])
        self.said = " ".join(reply) or "it ended"
        print("  %s: %s" % (self.name, self.said), file=sys.stderr)
        return None

    def close(self):
        try:
            self.p.stdin.close()
        except BrokenPipeError:
            pass
        return self.p.wait()


def measure(opt):
    sides = [Side(n, c) for n, c in (("ax", opt.ours), ("torch", opt.torch)) if c]
    sides = [s for s in sides if s.device]
    if not sides:
        raise SystemExit("table.py: nothing to measure: --ours or --torch must name a program that starts")
    start, left_out = time.time(), 0
    wanted = set(opt.groups.split(",")) if opt.groups else None
    with open(opt.out, "a") as f:
        f.write(json.dumps({"kind": "about", "date": time.strftime("%Y-%m-%d"), **{s.name: s.device for s in sides}}) + "\n")
        for c in cases(opt.tiny):
            if wanted and c.group not in wanted and c.group != "peak":
                continue
            if opt.seconds and time.time() - start > opt.seconds:
                left_out += 1
                continue
            row = {"kind": "op", "group": c.group, "label": c.label, "case": c.line, "flop": c.flop, "bytes": c.bytes}
            alive = list(sides)
            for _ in range(opt.rounds):
                for s in list(alive):
                    ms = s.ask(c.line)
                    if ms is None:
                        row[s.name + "_note"] = s.said
                        alive.remove(s)
                    else:
                        row.setdefault(s.name, []).append(ms)
                        if s.said:
                            row[s.name + "_note"] = s.said
            f.write(json.dumps(row) + "\n")
            f.flush()
            print("%6.0f s  %s: %s" % (time.time() - start, c.label, ", ".join("%s %.3f ms" % (s.name, statistics.median(row[s.name])) for s in sides if s.name in row)), file=sys.stderr)
    for s in sides:
        s.close()
    if left_out:
        print("table.py: %d cases were left out after %d s; --groups takes the rest" % (left_out, opt.seconds), file=sys.stderr)


# --- the table ---


def ratio(row):
    """How many times as fast as PyTorch: the median over rounds measured one after the other."""
    a, b = row.get("ax"), row.get("torch")
    return "%.2fx" % statistics.median(y / x for x, y in zip(a, b)) if a and b else ""


def rate(row, side, what, scale):
    return row[what] / statistics.median(row[side]) / scale if row.get(side) else None


def text(x, form="%.0f"):
    return form % x if x is not None else "-"


def op_tables(rows):
    peak = max((rate(r, s, "flop", 1e9) or 0 for r in rows for s in ("ax", "torch") if r["group"] == "peak" and r["flop"]), default=0)
    copy = max((rate(r, s, "bytes", 1e6) or 0 for r in rows for s in ("ax", "torch") if r["group"] == "peak" and r["bytes"]), default=0)
    print("Ceilings of this run: %.0f TFLOP/s (bf16 matrix product), %.0f GB/s (copy, bytes read and written).\n" % (peak, copy))
    titles = {"peak": "Ceilings", "matmul": "Matrix products of a step, 16,384 tokens", "attention": "Attention, causal", "head": "Output head and loss", "memory": "What memory bounds"}
    for group, title in titles.items():
        mine = [r for r in rows if r["group"] == group]
        if not mine:
            continue
        print("### %s\n\n| | ax | share of the ceiling | PyTorch | share | ax / PyTorch | |\n|---|---|---|---|---|---|---|" % title)
        for r in mine:
            flops = r["flop"] > 0
            what, scale, unit, most = ("flop", 1e9, "TFLOP/s", peak) if flops else ("bytes", 1e6, "GB/s", copy)
            cells = []
            for s in ("ax", "torch"):
                x = rate(r, s, what, scale)
                cells += [text(x, "%.0f " + unit), text(100 * x / most if x and most else None, "%.0f %%")]
            notes = "; ".join(r[k] for k in ("ax_note", "torch_note") if r.get(k))
            print("| %s | %s | %s | %s |" % (r["label"], " | ".join(cells), ratio(r), notes))
        print()


def step_table(rows):
    print("### Training steps\n\n| model, rows, precision | ax tokens/s | MFU (causal) | deterministic | memory: planned, seen | PyTorch tokens/s | its memory | ax / PyTorch |\n|---|---|---|---|---|---|---|---|")
    keys = []
    for r in rows:
        k = (r["model"], r["rows"], r["precision"])
        if k not in keys:
            keys.append(k)
    for k in keys:
        here = [r for r in rows if (r["model"], r["rows"], r["precision"]) == k]
        med = lambda side, field, det=False: (lambda v: statistics.median(v) if v else None)([r[field] for r in here if r["side"] == side and bool(r.get("deterministic")) == det and r.get(field)])
        a, b = med("ax", "tokens_per_second"), med("torch", "tokens_per_second")
        why = next((r["failed"] for r in here if r["side"] == "torch" and r.get("failed")), "-")
        ours = next((r["failed"] for r in here if r["side"] == "ax" and r.get("failed")), "-")
        print("| %s, %s, %s | %s | %s | %s | %s, %s | %s | %s | %s |" % (*k, text(a) if a else ours, text(med("ax", "mfu"), "%.3f"), text(med("ax", "tokens_per_second", True)),
              text(med("ax", "planned_gib"), "%.1f GiB"), text(med("ax", "peak_gib"), "%.1f GiB"), text(b) if b else why, text(med("torch", "peak_gib"), "%.1f GiB"), text(a / b if a and b else None, "%.2fx")))
    print()


def show(files):
    rows = [json.loads(line) for f in files for line in open(f)]
    last = {}
    for r in rows:  # a case measured again replaces what was there
        if r["kind"] == "op":
            last[r["case"] + r["label"]] = r
    for r in {json.dumps(r): r for r in rows if r["kind"] == "about"}.values():
        print("; ".join("%s: %s" % (k, v) for k, v in r.items() if k != "kind") + "\n")
    if last:
        op_tables(list(last.values()))
    steps = [r for r in rows if r["kind"] == "step"]
    if steps:
        step_table(steps)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = p.add_subparsers(dest="what", required=True)
    o = sub.add_parser("ops")
    o.add_argument("--out", required=True)
    o.add_argument("--ours")
    o.add_argument("--torch")
    o.add_argument("--groups")
    o.add_argument("--rounds", type=int, default=3)
    o.add_argument("--tiny", action="store_true")
    o.add_argument("--seconds", type=float, default=0, help="begin no further case after so long")
    s = sub.add_parser("show")
    s.add_argument("files", nargs="+")
    li = sub.add_parser("list")
    li.add_argument("--tiny", action="store_true")
    opt = p.parse_args()
    if opt.what == "ops":
        measure(opt)
    elif opt.what == "show":
        show(opt.files)
    else:
        for c in cases(opt.tiny):
            print("%s\t%s\t%g\t%g\t%s" % (c.group, c.label, c.flop, c.bytes, c.line))


if __name__ == "__main__":
    main()

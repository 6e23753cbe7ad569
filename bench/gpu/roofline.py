#!/usr/bin/env python3
"""What a training step should take on an H100 and an H200, op by op, on paper: docs/cuda-roofline.md is made of its output.

  bench/gpu/roofline.py [--sass bench/gpu/sass.tsv] [--summary]

Floor: the longer of operations at the peak and bytes at the memory's rate, every array once from and to memory. Estimate: what
of these rates can be had, by the assumptions below; "low" is what a run may come down to before one of them is wrong.
Nothing here is measured.
Only the standard library is used.
"""
import argparse
import math
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from table import MODELS, documents  # noqa: E402  the same shapes and documents as bench-gpu

# SMs, clock under load, dense bf16, memory's rate and size as the plan counts them
GPUS = {"H100": (132, 1.755e9, 989.4e12, 3.35e12, 80 * 2**30), "H200": (132, 1.755e9, 989.4e12, 4.8e12, 140.4 * 2**30)}
LOSS, UPDATE = "head: loss and its gradient", ("AdamW", "gradients to zero, their norm")
GOAL = {"0.5B": 160000, "1.5B": 62000, "7B": 14500}

# Assumptions: expected, and low. GEMM: share of the peak for long sums in whole waves (cuBLAS on an H100: 716 TFLOP/s at 4096^3, 795 at
# best; low: a GPU at its power limit). STREAM: of the memory's rate (a sum at 3.24 of 3.35 TB/s on an H100; cuDNN's norms at 3.7 of
# 4.8 on an H200). ATTENTION: of the serial bound of scripts/sass.py.
EXPECTED = {"GEMM": 0.82, "STREAM": {"H100": 0.90, "H200": 0.80}, "ATTENTION": 1.0}
LOW = {"GEMM": 0.68, "STREAM": {"H100": 0.78, "H200": 0.70}, "ATTENTION": 0.8}
GEMM_RAMP = 256    # elements of a sum that a tile's prologue and epilogue cost
OVERLAP = 0.2      # of a product's shorter side (arithmetic, memory) that is not hidden behind the longer
ISSUE = 0.7        # of the issue-bound rate of a kernel that streams
KERNEL = 1.2e-6    # s from a kernel's end to the next one's start in a graph, and a kernel's own ramp
LAUNCH = 3.0e-6    # s of the host for a kernel or product enqueued without a graph

# model, GPU, rows of 1,024 in a micro-batch, tokens a step, moments and gradients, recomputation: the largest micro-batch that fits by
# ax-train --plan, as bench/gpu/step.sh tries them. With bf16 there are no masters.
RUNS = (("0.5B", "H100", 32, 524288, "f32", "none"), ("0.5B", "H200", 32, 524288, "f32", "none"),
        ("1.5B", "H100", 16, 262144, "f32", "none"), ("1.5B", "H200", 32, 262144, "f32", "none"),
        ("7B", "H100", 4, 131072, "bf16", "none"), ("7B", "H200", 16, 131072, "bf16", "none"),
        ("7B", "H200", 1, 131072, "f32", "none"), ("7B", "H200", 8, 131072, "f32", "full"))


class Sass:
    """bench/gpu/sass.tsv: what scripts/sass.py found in the compiled kernels."""

    def __init__(self, path):
        lines = [x.rstrip("\n").split("\t") for x in open(path) if not x.startswith("#")]
        self.rows = [dict(zip(lines[0], x)) for x in lines[1:]]

    def of(self, kernel, column):
        """kernel: its name, or its name and a colon and which of its loops."""
        name, _, path = kernel.partition(": ")
        found = [float(r[column]) for r in self.rows if r["kernel"] == name and path in ("", r["path"])]
        if not found:
            raise SystemExit("roofline.py: %s is not in the table of kernels" % kernel)
        return min(found)


def gemm_share(sms, m, n, k):
    """What waves, tiles' edges and ramps leave of the rate of a large product; sums of k are split if that fills more SMs."""
    best = 0.0
    for tm, tn, worth in ((128, 256, 1.0), (256, 128, 1.0), (128, 128, 0.92), (64, 256, 0.85), (128, 64, 0.7)):
        tiles = math.ceil(m / tm) * math.ceil(n / tn)
        fill = m * n / (tiles * tm * tn)
        for split in (1, 2, 3, 4, 8, 16):
            if k // split < 512 and split > 1:
                break
            waves = tiles * split / sms
            best = max(best, worth * fill * waves / math.ceil(waves) * (k / split) / (k / split + GEMM_RAMP))
    return best


class Step:
    def __init__(self, run, rows, sass, assume=EXPECTED):
        name, gpu, micro, self.tokens, self.kept, self.recompute = run
        self.gpu, self.name, self.sass, self.assume = gpu, name, sass, assume
        self.stream_rate = GPUS[gpu][3] * assume["STREAM"][gpu]
        self.sms, self.clock, self.peak, self.rate, self.memory = GPUS[gpu]
        self.c, self.nh, self.nkv, self.hd, self.f, self.v, self.layers = MODELS[name]
        self.n = micro * 1024
        self.docs = [1024] * micro if rows == 1024 else self.packed()
        self.ops = []  # name, launches, calls of a step, flop, bytes, floor s, estimate s
        self.micros = self.tokens / self.n

    def packed(self):
        """Documents of so many tokens, scaled from those of 64 rows: a few rows would be a matter of luck."""
        docs = documents(4096, 64)
        keep, total = [], 0
        for t in docs * (self.n // (64 * 4096) + 1):
            if total < self.n:
                keep.append(min(t, self.n - total))
                total += keep[-1]
        return keep

    def add(self, name, calls, flop, data, estimate, launches=1):
        floor = max(flop / self.peak, data / self.rate)
        self.ops.append((name, launches, calls, flop, data, floor, max(estimate, floor) + launches * KERNEL))

    def stream(self, name, calls, data, kernel=None, launches=1):
        t = data / self.stream_rate
        if kernel:
            t = max(t, data / (self.sass.of(kernel, "bytes_clock") * self.sms * self.clock * ISSUE))
        self.add(name, calls, 0, data, t, launches)

    def gemm(self, name, calls, m, n, k, out=2, plus=False):
        flop, data = 2.0 * m * n * k, 2.0 * (m * k + n * k) + out * m * n * (2 if plus else 1)
        a, b = flop / (self.peak * self.assume["GEMM"] * gemm_share(self.sms, m, n, k)), data / self.stream_rate
        self.add(name, calls, flop, data, max(a, b) + OVERLAP * min(a, b))

    def attention(self, name, kernel, calls, per_score, tile, data):
        """The causal half of each document counts; what is computed goes to the end of the tile on the diagonal."""
        d = {64: 64, 128: 128}[self.hd]
        scores = sum(t * t / 2 for t in self.docs) * self.nh
        done = sum(math.ceil(t / tile) * tile * (t + tile) / 2 for t in self.docs) * self.nh
        share = self.sass.of("%s<%d>" % (kernel, d), "peak_serial") * self.assume["ATTENTION"]
        self.add(name, calls, per_score * d * scores, data, per_score * d * done / (self.peak * share))

    def forward(self, calls, tag, last=True):
        n, c, q, kv, f = self.n, self.c, self.nh * self.hd, self.nkv * self.hd, self.f
        keep = 1 if c <= 2048 else 2 if c <= 4096 else 4
        self.stream(tag + "RMSNorm + residual", 2 * calls, 12.0 * n * c, "rmsnorm_fwd_kernel<bf16, true, %d, 256>" % keep)
        self.gemm(tag + "qkv", calls, n, q + 2 * kv, c)
        self.stream(tag + "rotary embedding", calls, 4.0 * n * (q + kv), "rope_kernel<bf16, true>")
        self.attention(tag + "attention", "attn_fwd_kernel", calls, 4, 128, 2.0 * n * (2 * q + 2 * kv))
        self.add(tag + "attention's plan", calls, 0, 0, 2e-6)
        self.gemm(tag + "o", calls, n, c, q)
        self.gemm(tag + "gate, up", calls, n, 2 * f, c)
        self.stream(tag + "gated activation", calls, 6.0 * n * f, "glu_fwd_kernel<bf16, true, 0>")
        if last:
            self.gemm(tag + "down", calls, n, c, f)

    def backward(self, calls):
        n, c, q, kv, f = self.n, self.c, self.nh * self.hd, self.nkv * self.hd, self.f
        keep = 1 if c <= 2048 else 2 if c <= 4096 else 4
        grad = 4 if self.kept == "f32" else 2
        for what, i, o in (("down", f, c), ("gate, up", c, 2 * f), ("o", q, c), ("qkv", c, q + 2 * kv)):
            self.gemm(what + ", weight gradient", calls, o, i, n, grad, True)
            self.gemm(what + ", input gradient", calls, n, i, o)
        self.stream("gated activation, backward", calls, 10.0 * n * f, "glu_bwd_kernel<bf16, true, 0>")
        self.stream("RMSNorm, backward", 2 * calls, 10.0 * n * c, "rmsnorm_bwd_kernel<bf16, true, %d, 256>" % keep, 2)
        self.stream("attention's plan, delta", calls, 4.0 * n * q, None)
        tile = 128 if self.hd == 64 else 64
        self.attention("attention, dk dv", "attn_dkv_kernel", calls, 8, tile, 2.0 * n * (2 * q + 4 * kv))
        self.attention("attention, dq", "attn_dq_kernel", calls, 6, 128, 2.0 * n * (3 * q + 2 * kv))
        self.stream("rotary embedding, backward", calls, 4.0 * n * (q + kv), "rope_kernel<bf16, true>")
        self.stream("bias gradients", calls, 2.0 * n * (q + 2 * kv), None, 6)

    def head(self):
        n, c, v, m = self.n, self.c, self.v, self.micros
        limit = min(max(32 << 20, self.memory / 80) / (4 * v) // 128 * 128, n)
        chunks = math.ceil(n / limit)
        rows = n / chunks
        self.gemm("head: logits", m * chunks, rows, v, c, 4)
        self.stream(LOSS, m * chunks, 10.0 * rows * v, "head_rows<bf16, true>: loop 1")
        self.gemm("head: input gradient", m * chunks, rows, c, v)
        self.gemm("head: weight gradient", m * chunks, v, c, rows, 4 if self.kept == "f32" else 2, True)
        self.stream("head: rows in and out", m, 10.0 * n * c, None, 3 + 2 * chunks)
        self.stream("final norm, both ways", m, 20.0 * n * c, None, 3)
        self.stream("embedding, both ways", m, 20.0 * n * c, None, 12)

    def parameters(self):
        c, q, kv, f, v = self.c, self.nh * self.hd, self.nkv * self.hd, self.f, self.v
        return self.layers * (c * (q + 2 * kv) + q * c + 3 * c * f) + v * c * (1 if c < 3000 else 2)

    def run(self):
        m = self.micros * self.layers
        self.forward(m, "")
        if self.recompute == "full":
            self.forward(m, "again: ", False)
        elif self.recompute == "selective":
            self.stream("again: norms", 2 * m, 6.0 * self.n * self.c)
            self.stream("again: gated activation", m, 6.0 * self.n * self.f, "glu_fwd_kernel<bf16, true, 0>")
        self.backward(m)
        self.head()
        p, wide = self.parameters(), self.kept == "f32"
        self.stream("gradients to zero, their norm", 1, (8.0 if wide else 4.0) * p, None, 3)
        self.stream("AdamW", 1, (30.0 if wide else 14.0) * p, "adamw_kernel<bf16, true>" if wide else "round_kernel<bf16, false, true>")
        return self

    def seconds(self):
        return sum(o[2] * o[6] for o in self.ops)

    def launches(self):
        return sum(o[1] * o[2] for o in self.ops) / self.micros


def table(name, rows, sass):
    """Per token, so that runs with different micro-batches stand beside each other. Of packed rows only what differs."""
    runs = [Step(x, r, sass).run() for x in (next(x for x in RUNS if x[:2] == (name, g)) for g in GPUS) for r in (rows, 1024)]
    a, plain, b, _ = runs
    print("\n#### Qwen2.5 %s, %s\n" % (name, "rows of 1,024" if rows == 1024 else "documents packed in rows of 4,096: what differs"))
    print("Per token of a step. Micro-batch %s tokens on an H100, %s on an H200; moments and gradients %s.\n" % ("{:,}".format(a.n), "{:,}".format(b.n), a.kept))
    print("| op | calls a micro-batch | MFLOP | KB | floor H100, ns | H200 | estimate H100, ns | H200 | floor / estimate, H100 | share of the step |")
    print("|" + "---|" * 10)
    total = a.seconds()
    for x, old, y in zip(a.ops, plain.ops, b.ops):
        if rows != 1024 and abs(x[6] - old[6]) < 1e-9:
            continue
        one, two = 1e9 * x[2] / a.tokens, 1e9 * y[2] / b.tokens
        print("| %s | %s | %s | %.4g | %.0f | %.0f | %.0f | %.0f | %.0f %% | %.1f %% |" % (
            x[0], "%d" % round(x[2] / a.micros) if x[2] > 1 else "1 a step", "%.4g" % (x[3] * x[2] / a.tokens / 1e6) if x[3] else "–", x[4] * x[2] / a.tokens / 1e3, x[5] * one, y[5] * two,
            x[6] * one, y[6] * two, 100 * x[5] / x[6], 100 * x[2] * x[6] / total))
    floor = [1e9 * sum(o[2] * o[5] for o in s.ops) / s.tokens for s in (a, b)]
    print("| **step** | | %.0f | %.0f | **%.0f** | **%.0f** | **%.0f** | **%.0f** | **%.0f %%** | |" % (
        sum(o[2] * o[3] for o in a.ops) / a.tokens / 1e6, sum(o[2] * o[4] for o in a.ops) / a.tokens / 1e3, *floor, 1e9 * total / a.tokens, 1e9 * b.seconds() / b.tokens,
        100 * floor[0] * a.tokens / total / 1e9))


def summary(sass):
    print("| model | GPU | rows | moments, gradients; recomputation | micro-batch | expected tok/s (low) | of the goal on an H100 (low) | MFU | kernels, ms, ms of the host without a graph | products | attention | streams | loss | update |")
    print("|" + "---|" * 14)
    for x in RUNS:
        for rows in (1024, 4096):
            s, low = Step(x, rows, sass).run(), Step(x, rows, sass, LOW).run()
            t, useful = s.seconds(), 0.0
            part = {"products": 0.0, "attention": 0.0, "stream": 0.0, "loss": 0.0, "update": 0.0}
            for name, launches, calls, flop, data, floor, each in s.ops:
                plain = name[7:] if name.startswith("again: ") else name
                k = "attention" if plain.startswith("attention") else "loss" if name == LOSS else "update" if name in UPDATE else "products" if flop else "stream"
                part[k] += calls * each
                if plain == name:  # the usual count of attention's backward pass: 10 a score, not 14
                    useful += calls * flop * (10 / 14 if name in ("attention, dk dv", "attention, dq") else 1)
            speed, least, goal = s.tokens / t, s.tokens / low.seconds(), GOAL[s.name]
            print("| %s | %s | %s | %s; %s | %s | %s (%s) | %.0f %% (%.0f %%) | %.0f %% | %d, %.0f, %.1f | %s |" % (
                s.name, s.gpu, "1,024" if rows == 1024 else "4,096 packed", s.kept, s.recompute, "{:,}".format(s.n), "{:,}".format(round(speed / 100) * 100),
                "{:,}".format(round(least / 100) * 100), 100 * speed / goal, 100 * least / goal, 100 * useful / t / s.peak, round(s.launches()), 1e3 * t / s.micros,
                1e3 * s.launches() * LAUNCH, " | ".join("%.1f %%" % (100 * part[k] / t) for k in part)))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--sass", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "sass.tsv"))
    p.add_argument("--summary", action="store_true", help="only a line a run")
    opt = p.parse_args()
    sass = Sass(opt.sass)
    summary(sass)
    if not opt.summary:
        for name in GOAL:
            for rows in (1024, 4096):
                table(name, rows, sass)


if __name__ == "__main__":
    main()

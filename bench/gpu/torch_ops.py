#!/usr/bin/env python3
"""PyTorch's side of bench-gpu's ops: the protocol, cases and way of timing of ops.c (bench/gpu/README).

  torch_ops.py [--device cuda|cpu] [--batch-ms MS] [--samples N] [--no-compile]

Answers each line CASE ARGUMENT... with "ms MEDIAN LEAST MOST CALLS NAME"; NAME says which of PyTorch's ways was the fastest.
"""
import argparse
import inspect
import statistics
import sys
import time

import torch
import torch.nn.functional as F

ARG = None
DEV = None
MOST_SETS, SETS_BYTES = 16, 256 << 20


def sync():
    if DEV.type == "cuda":
        torch.cuda.synchronize()


def rand(*shape, dtype=torch.bfloat16):
    return torch.rand(*shape, device=DEV, dtype=torch.float32).mul_(2).sub_(1).to(dtype)


def compiled(f):
    return f if ARG.no_compile else torch.compile(f, fullgraph=True, dynamic=False)


# Each case: a function of the arguments that makes one set of inputs and returns {name: call}.


def copy(mib):
    a, b = rand(mib << 18, dtype=torch.float32), torch.empty(mib << 18, device=DEV)
    return {"": lambda: b.copy_(a)}


def linear_fwd(n, i, o):
    x, w = rand(n, i), rand(o, i)
    y = torch.empty(n, o, device=DEV, dtype=x.dtype)
    return {"": lambda: torch.mm(x, w.t(), out=y)}


def linear_dx(n, i, o):
    dy, w = rand(n, o), rand(o, i)
    dx = torch.empty(n, i, device=DEV, dtype=w.dtype)
    return {"": lambda: torch.mm(dy, w, out=dx)}


def linear_dw(n, i, o):
    dy, x = rand(n, o), rand(n, i)
    dw = torch.empty(o, i, device=DEV, dtype=x.dtype)
    return {"bf16, assigned": lambda: torch.mm(dy.t(), x, out=dw)}


def sdpa(q, k, v, backend, gqa):
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(getattr(SDPBackend, backend)):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=gqa)


def dense_ways(nh, nkv, hd, t, n):
    def one(backend):
        q, k, v = (rand(n, t, h, hd).transpose(1, 2).detach().requires_grad_() for h in (nh, nkv, nkv))
        return (q, k, v), lambda: sdpa(q, k, v, backend, nh != nkv)

    backends = ("FLASH_ATTENTION", "CUDNN_ATTENTION") if DEV.type == "cuda" else ("MATH",)
    return {"SDPA " + b.split("_")[0].lower(): lambda b=b: one(b) for b in backends}


def packed_ways(nh, nkv, hd, lens):
    total = sum(lens)

    def varlen():
        from torch.nn.attention.varlen import varlen_attn

        known = inspect.signature(varlen_attn).parameters
        gqa = "enable_gqa" in known
        opt = {"is_causal": True} if "is_causal" in known else {"window_size": (-1, 0)}
        if gqa:
            opt["enable_gqa"] = True
        q = rand(total, nh, hd).requires_grad_()
        k, v = (rand(total, nkv if gqa else nh, hd).requires_grad_() for _ in range(2))
        cu = torch.tensor([0] + lens, device=DEV).cumsum(0).to(torch.int32)
        most = max(lens)
        return (q, k, v), lambda: varlen_attn(q, k, v, cu, cu, most, most, **opt)

    def flex():
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention

        q, k, v = (rand(1, h, total, hd).requires_grad_() for h in (nh, nkv, nkv))
        doc = torch.repeat_interleave(torch.arange(len(lens), device=DEV), torch.tensor(lens, device=DEV))
        mask = create_block_mask(lambda b, h, i, j: (i >= j) & (doc[i] == doc[j]), None, None, total, total, device=DEV)
        f = flex_attention if ARG.no_compile else torch.compile(flex_attention, dynamic=False)
        return (q, k, v), lambda: f(q, k, v, block_mask=mask, enable_gqa=nh != nkv)

    def nested():
        q, k, v = (torch.nested.nested_tensor([rand(x, nh, hd) for x in lens], layout=torch.jagged, device=DEV).detach().requires_grad_() for _ in range(3))
        return (q, k, v), lambda: F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True)

    return {"varlen": varlen, "flex": flex, "nested, kv heads repeated": nested} if DEV.type == "cuda" else {"flex": flex}


def attention(backward, nh, nkv, hd, *lens):
    lens = list(lens)
    dense = all(x == lens[0] for x in lens)
    ways = dense_ways(nh, nkv, hd, lens[0], len(lens)) if dense else packed_ways(nh, nkv, hd, lens)
    out = {}
    for name, make in ways.items():
        try:
            args, call = make()
            if backward:
                o = call()
                go = torch.rand_like(o)
                f = lambda o=o, args=args, go=go: torch.autograd.grad(o, args, go, retain_graph=True)
            else:
                def f(call=call):
                    with torch.no_grad():
                        return call()
            f()
            out[name] = f
        except Exception as e:  # a way that this version or device lacks
            print("torch_ops: %s: %s" % (name, str(e).splitlines()[0] if str(e) else type(e).__name__), file=sys.stderr)
    return out


def norm_fwd(x, delta, w):
    r = x + delta
    rstd = torch.rsqrt(r.square().mean(-1, keepdim=True) + 1e-6)
    return r, rstd, (r * rstd).to(w.dtype) * w


def norm_bwd(dy, dres, r, rstd, w):
    g = dy.float() * w.float()
    n = r * rstd
    dx = dres.float() + rstd * (g - n * (g * n).mean(-1, keepdim=True))
    return dx.to(dy.dtype), (dy.float() * n).sum(0)


def rmsnorm_fwd(n, c):
    f, x, delta, w = compiled(norm_fwd), rand(n, c, dtype=torch.float32), rand(n, c), rand(c)
    return {"compiled": lambda: f(x, delta, w)}


def rmsnorm_bwd(n, c):
    f, dy, dres, r, rstd, w = compiled(norm_bwd), rand(n, c), rand(n, c), rand(n, c, dtype=torch.float32), rand(n, 1, dtype=torch.float32).abs(), rand(c)
    return {"compiled": lambda: f(dy, dres, r, rstd, w)}


def swiglu(gu):
    g, u = gu.chunk(2, -1)
    return (F.silu(g.float()) * u.float()).to(gu.dtype)


def swiglu_bwd(gu, dh):
    g, u = (t.float() for t in gu.chunk(2, -1))
    d, s = dh.float(), torch.sigmoid(g)
    return torch.cat((d * u * s * (1 + g * (1 - s)), d * g * s), -1).to(gu.dtype)


def glu_fwd(n, f):
    g, gu = compiled(swiglu), rand(n, 2 * f)
    return {"compiled": lambda: g(gu)}


def glu_bwd(n, f):
    g, gu, dh = compiled(swiglu_bwd), rand(n, 2 * f), rand(n, f)
    return {"compiled": lambda: g(gu, dh)}


def rotate(x, cos, sin):
    a, b = (t.float() for t in x.chunk(2, -1))
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).to(x.dtype)


def rope(n, heads, hd, most):
    f, x, table = compiled(rotate), rand(n, heads, hd), rand(most, hd, dtype=torch.float32)
    table = table.repeat(n // most + 1, 1)[:n]
    cos, sin = (t.reshape(n, 1, hd // 2).contiguous() for t in table.chunk(2, -1))
    return {"compiled": lambda: f(x, cos, sin)}


def embed_bwd(n, c, v):
    dx, ids, dw = rand(n, c), torch.randint(v, (n,), device=DEV), torch.zeros(v, c, device=DEV)
    return {"index_add_": lambda: dw.index_add_(0, ids, dx.float())}


def head(n, c, v):
    x, w, y = rand(n, c).requires_grad_(), rand(v, c).requires_grad_(), torch.randint(v, (n,), device=DEV)
    loss = lambda a, b: F.cross_entropy(torch.mm(a, b.t()).float(), y)
    f = compiled(loss)
    return {"compiled, logits whole": lambda: torch.autograd.grad(f(x, w), (x, w))}


def adamw(n):
    size = 1 << 24
    parts = [min(size, n - i) for i in range(0, n, size)]
    p = [rand(k, dtype=torch.float32).requires_grad_() for k in parts]
    w = [rand(k) for k in parts]
    for t in p:
        t.grad = rand(t.numel(), dtype=torch.float32)
    opt = torch.optim.AdamW(p, lr=1e-5, betas=(0.9, 0.99), weight_decay=0.1, fused=DEV.type == "cuda")

    def call():
        opt.step()
        with torch.no_grad():
            torch._foreach_copy_(w, p)

    return {"fused, and the cast": call}


def sumsq(n):
    x = rand(n, dtype=torch.float32)
    f = compiled(lambda t: t.square().sum())
    return {"vector_norm": lambda: torch.linalg.vector_norm(x), "compiled": lambda: f(x)}


CASES = {f.__name__: f for f in (copy, linear_fwd, linear_dx, linear_dw, rmsnorm_fwd, rmsnorm_bwd, glu_fwd, glu_bwd, rope, embed_bwd, head, adamw, sumsq)}
CASES["attn_fwd"] = lambda *a: attention(False, *a)
CASES["attn_bwd"] = lambda *a: attention(True, *a)


def batch(calls, n, turn):
    sync()
    start = time.perf_counter()
    for i in range(n):
        calls[(turn + i) % len(calls)]()
    sync()
    return (time.perf_counter() - start) * 1e3


class Job:
    """One case: its sets of inputs, the fastest way, and how many calls make a batch."""

    def __init__(self, line):
        name, *words = line.split()
        args = []
        for w in words:
            value, _, times = w.partition("x")
            args += [int(value)] * int(times or 1)
        if name not in CASES:
            raise ValueError("no such case")
        make = CASES[name]
        before = torch.cuda.memory_allocated() if DEV.type == "cuda" else 0
        sets = [make(*args)]
        if not sets[0]:
            raise ValueError("none of the ways works here")
        size = (torch.cuda.memory_allocated() - before) if DEV.type == "cuda" else SETS_BYTES
        while len(sets) < min(MOST_SETS, SETS_BYTES // max(size, 1) + 1):
            sets.append(make(*args))
        best = None
        for way in sets[0]:
            calls = [s[way] for s in sets if way in s]
            batch(calls, max(3, len(calls)), 0)
            ms = min(batch(calls, 3, 0) for _ in range(3)) / 3
            if best is None or ms < best[0]:
                best = (ms, way, calls)
        self.name, self.calls, self.turn = best[1], best[2], 0
        self.n = int(ARG.batch_ms / max(best[0], 1e-3)) + 1

    def answer(self):
        batch(self.calls, (self.n + 3) // 4, self.turn)
        t = []
        for _ in range(ARG.samples):
            t.append(batch(self.calls, self.n, self.turn) / self.n)
            self.turn += self.n
        return "ms %.6f %.6f %.6f %d %s" % (statistics.median(t), min(t), max(t), self.n, self.name)


def main():
    global ARG, DEV
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--batch-ms", type=float, default=20)
    p.add_argument("--samples", type=int, default=5)
    p.add_argument("--no-compile", action="store_true")
    ARG = p.parse_args()
    DEV = torch.device(ARG.device)
    torch.manual_seed(1)
    import torch._functorch.config as functorch

    functorch.donated_buffer = False  # a compiled backward (flex attention's) that is called again and again may not give its inputs away
    cuda = DEV.type == "cuda"
    print("ready torch %s%s" % (torch.__version__, ", cuDNN %s, %s" % (torch.backends.cudnn.version(), torch.cuda.get_device_name()) if cuda else ", CPU"), flush=True)
    line, job = None, None
    for asked in sys.stdin:
        asked = asked.strip()
        if not asked:
            continue
        try:
            if asked != line:
                line, job = asked, None
                if cuda:
                    torch.cuda.empty_cache()
                torch.compiler.reset()
                job = Job(asked)
            print(job.answer() if job else "error it failed before", flush=True)
        except Exception as e:
            job = None
            print("error %s" % ((str(e).splitlines() or [type(e).__name__])[0]), flush=True)


if __name__ == "__main__":
    main()

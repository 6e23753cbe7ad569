#!/usr/bin/env python3
"""PyTorch's side of step.sh: the same model through transformers, compiled, with fused AdamW; prints fields of a JSON line.

  torch_step.py --model DIR --lens FILE --rows N --precision masters|bf16 [--steps N] [--micro "16 8 4"] [--device cuda|cpu]

masters: weights, gradients and moments in f32, bf16 autocast.  bf16: all of them in bf16.
Rows of 1,024 are one document each: SDPA with is_causal, whose flash or cuDNN kernel PyTorch chooses. (transformers' own "sdpa"
builds a mask when it is compiled, with which SDPA takes neither.) Packed rows keep documents apart: the first that works of
flash_attention_2 (if that package is installed), PyTorch's varlen_attn, flex attention (compiled), and SDPA with a mask.
"""
import argparse
import gc
import importlib.util
import inspect
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, AutoConfig, AutoModelForCausalLM


def packs_of(lens, rows):
    """First fit in the order of the file."""
    packs = []
    for n in lens:
        for p in packs:
            if sum(p) + n <= rows:
                p.append(n)
                break
        else:
            packs.append([n])
    return packs


def batches_of(packs, rows, micro, vocab, dev):
    """Micro-batches of ids, labels and positions; what a pack leaves free is padding of its own document, untrained."""
    r = torch.Generator().manual_seed(1)
    out = []
    for i in range(0, len(packs) - micro + 1, micro):
        ids = torch.randint(vocab, (micro, rows), generator=r)
        labels, pos = ids.clone(), torch.zeros(micro, rows, dtype=torch.long)
        for k, p in enumerate(packs[i : i + micro]):
            at = 0
            for n in p + ([rows - sum(p)] if sum(p) < rows else []):
                pos[k, at : at + n] = torch.arange(n)
                labels[k, at] = -100
                at += n
            labels[k, sum(p) :] = -100
        out.append(tuple(t.to(dev) for t in (ids, labels, pos)))
    return out


# Attention as transformers calls it: q, k, v (rows, heads, length, dim). It makes no masks for names that it does not know.
# Under autocast the rotary embedding leaves q and k in f32; what is no op of autocast's list gets them in v's type.


def causal(module, q, k, v, mask, scaling=None, **kwargs):
    o = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling, enable_gqa=q.shape[1] != k.shape[1])
    return o.transpose(1, 2), None


def varlen(module, q, k, v, mask, scaling=None, cu_seq_lens_q=None, max_length_q=None, **kwargs):
    from torch.nn.attention.varlen import varlen_attn

    known = inspect.signature(varlen_attn).parameters
    opt = {"is_causal": True} if "is_causal" in known else {"window_size": (-1, 0)}
    assert scaling is None or scaling == q.shape[-1] ** -0.5
    if "enable_gqa" in known:
        opt["enable_gqa"] = q.shape[1] != k.shape[1]
    else:
        k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (k, v))
    b, _, t, _ = q.shape
    flat = [x.to(v.dtype).transpose(1, 2).reshape(b * t, x.shape[1], x.shape[3]) for x in (q, k, v)]
    o = varlen_attn(*flat, cu_seq_lens_q, cu_seq_lens_q, max_length_q, max_length_q, **opt)
    return o.view(b, t, *o.shape[1:]), None


def flex(module, q, k, v, mask, scaling=None, **kwargs):
    from torch.nn.attention.flex_attention import flex_attention

    o = flex_attention(q.to(v.dtype), k.to(v.dtype), v, block_mask=mask, scale=scaling, enable_gqa=q.shape[1] != k.shape[1])
    return o.transpose(1, 2), None


for name, f in (("ax_causal", causal), ("ax_varlen", varlen), ("ax_flex", flex)):
    AttentionInterface.register(name, f)


def ways(rows, dev):
    if rows <= 1024:
        return ["ax_causal"]
    flash = ["flash_attention_2"] if importlib.util.find_spec("flash_attn") and dev.type == "cuda" else []
    return flash + (["ax_varlen", "ax_flex"] if dev.type == "cuda" else []) + ["sdpa"]


def mask_of(way, pos):
    """What the attention needs to keep documents apart; None where positions alone say it."""
    if way not in ("ax_flex", "sdpa"):
        return None
    doc = (pos == 0).cumsum(1)
    if way == "ax_flex":
        from torch.nn.attention.flex_attention import create_block_mask

        see = lambda b, h, i, j: (i >= j) & (doc[b, i] == doc[b, j])
        return create_block_mask(see, pos.shape[0], None, pos.shape[1], pos.shape[1], device=pos.device)
    mask = torch.ones(pos.shape[1], pos.shape[1], dtype=torch.bool, device=pos.device).tril()
    return ((doc[:, :, None] == doc[:, None, :]) & mask)[:, None]


def extra_of(way, batches):
    """For varlen_attn, a batch each: where documents begin in the batch's tokens, all tables of one length; the longest one."""
    if way != "ax_varlen":
        return [{} for _ in batches]
    starts = [(pos.flatten() == 0).nonzero().flatten().tolist() + [pos.numel()] for _, _, pos in batches]
    n, most = max(map(len, starts)), max(b - a for s in starts for a, b in zip(s, s[1:]))
    return [{"cu_seq_lens_q": torch.tensor(s + s[-1:] * (n - len(s)), dtype=torch.int32, device=pos.device), "max_length_q": most} for s, (_, _, pos) in zip(starts, batches)]


def least_bytes(a, config, tokens):
    """Less than a step can do with, so that what cannot fit is not compiled first: state, what layers keep, logits."""
    with torch.device("meta"):
        n = sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())
    layer = 16 * config.hidden_size + 6 * config.intermediate_size
    return n * (18 if a.precision == "masters" else 8) + tokens * (config.num_hidden_layers * layer + 4 * config.vocab_size)


def run(a, way, micro, packs, dev):
    masters = a.precision == "masters"
    config = AutoConfig.from_pretrained(a.model)
    with torch.device(dev):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32 if masters else torch.bfloat16, attn_implementation=way)
    model.train()
    model.config.use_cache = False
    if a.recompute:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    opt = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=dev.type == "cuda")
    step = model if a.no_compile else torch.compile(model)
    plain = batches_of(packs, a.rows, micro, config.vocab_size, dev)
    batches = [(i, l, p, mask_of(way, p), x) for (i, l, p), x in zip(plain, extra_of(way, plain))]
    n_tokens = sum(sum(p) for p in packs[: len(batches) * micro])
    trained = sum(int((l[:, 1:] != -100).sum()) for _, l, _, _, _ in batches)
    seconds = []
    for _ in range(a.steps):
        if dev.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        for ids, labels, pos, mask, extra in batches:
            with torch.autocast(dev.type, torch.bfloat16, enabled=masters):
                loss = step(input_ids=ids, position_ids=pos, attention_mask=mask, labels=labels, num_items_in_batch=trained, **extra).loss
            loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        opt.zero_grad(set_to_none=True)
        last = loss.item()
        seconds.append(time.perf_counter() - start)
    assert last == last, "the loss is no number"
    return n_tokens / statistics.median(seconds[min(2, a.steps - 1) :])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", required=True)
    p.add_argument("--lens", required=True)
    p.add_argument("--rows", type=int, required=True)
    p.add_argument("--precision", choices=("masters", "bf16"), default="masters")
    p.add_argument("--steps", type=int, default=6)
    p.add_argument("--micro", default="8 4 2 1")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--recompute", action="store_true")
    p.add_argument("--no-compile", action="store_true")
    a = p.parse_args()
    dev = torch.device(a.device)
    packs = packs_of([int(x) for x in open(a.lens)], a.rows)
    torch.set_float32_matmul_precision("high")
    why = "nothing was tried"
    room = torch.cuda.get_device_properties(dev).total_memory if dev.type == "cuda" else float("inf")
    config = AutoConfig.from_pretrained(a.model)
    for way in ways(a.rows, dev):
        for micro in (int(x) for x in a.micro.split()):
            if micro > len(packs):
                continue
            if least_bytes(a, config, micro * a.rows) > room:
                why = "needs more than %.0f GiB at a micro-batch of %d" % (room / 2**30, micro)
                continue
            try:
                if dev.type == "cuda":
                    torch.cuda.reset_peak_memory_stats()
                speed = run(a, way, micro, packs, dev)
                peak = ', "peak_gib": %.2f' % (torch.cuda.max_memory_reserved() / 2**30) if dev.type == "cuda" else ""
                print('"tokens_per_second": %.1f, "micro": %d, "attention": "%s"%s' % (speed, micro, way, peak))
                return
            except torch.OutOfMemoryError:
                why = "out of memory at a micro-batch of %d" % micro
            except Exception as e:
                why = "%s: %s" % (way, (str(e).splitlines() or [type(e).__name__])[0])
                print("torch_step: " + why, file=sys.stderr)
                break
            finally:
                gc.collect()
                torch.compiler.reset()
                if dev.type == "cuda":
                    torch.cuda.empty_cache()
    sys.exit(why)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""PyTorch's side of step.sh: the same model through transformers, compiled, with fused AdamW; prints fields of a JSON line.

  torch_step.py --model DIR --lens FILE --rows N --precision masters|bf16 [--steps N] [--micro "16 8 4"] [--device cuda|cpu]

masters: weights, gradients and moments in f32, bf16 autocast.  bf16: all of them in bf16.
Rows of 1,024 are one document each: SDPA, whose flash or cuDNN kernel PyTorch chooses. Packed rows need masks of documents:
flash_attention_2 where that package is installed, else flex attention (compiled), else SDPA with a mask.
"""
import argparse
import gc
import importlib.util
import statistics
import sys
import time

import torch
from transformers import AutoConfig, AutoModelForCausalLM


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


def ways(rows, dev):
    if rows <= 1024:
        return ["sdpa"]
    flash = ["flash_attention_2"] if importlib.util.find_spec("flash_attn") and dev.type == "cuda" else []
    return flash + (["flex_attention"] if dev.type == "cuda" else []) + ["sdpa"]


def mask_of(way, pos):
    """What the attention needs to keep documents apart; None where positions alone say it."""
    if way == "flash_attention_2" or pos.shape[1] <= 1024:
        return None
    doc = (pos == 0).cumsum(1)
    if way == "flex_attention":
        from torch.nn.attention.flex_attention import create_block_mask

        see = lambda b, h, i, j: (i >= j) & (doc[b, i] == doc[b, j])
        return create_block_mask(see, pos.shape[0], None, pos.shape[1], pos.shape[1], device=pos.device)
    causal = torch.ones(pos.shape[1], pos.shape[1], dtype=torch.bool, device=pos.device).tril()
    return ((doc[:, :, None] == doc[:, None, :]) & causal)[:, None]


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
    batches = [(i, l, p, mask_of(way, p)) for i, l, p in batches_of(packs, a.rows, micro, config.vocab_size, dev)]
    n_tokens = sum(sum(p) for p in packs[: len(batches) * micro])
    trained = sum(int((l[:, 1:] != -100).sum()) for _, l, _, _ in batches)
    seconds = []
    for _ in range(a.steps):
        if dev.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        for ids, labels, pos, mask in batches:
            with torch.autocast(dev.type, torch.bfloat16, enabled=masters):
                loss = step(input_ids=ids, position_ids=pos, attention_mask=mask, labels=labels, num_items_in_batch=trained).loss
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
    for way in ways(a.rows, dev):
        for micro in (int(x) for x in a.micro.split()):
            if micro > len(packs):
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

#!/usr/bin/env python3
"""Errors of PyTorch's bf16 gradients, frozen for tests/parity/test_model.c.

    python3 make.py MODELS > errors.json        (PyPI: torch, transformers 5, safetensors)

MODELS holds a folder a family with config.json, model.safetensors and reference.safetensors (gradients from float64). For
each, the relative norm of the error of every gradient tensor: "FAMILY eager" and "FAMILY sdpa" with bf16 weights and one or
the other attention of transformers, "FAMILY autocast" with float32 weights under bf16 autocast (eager). All as one packed
row of all documents, positions restarting and attention closed at the borders, logits up-cast to float32 before the loss as
transformers does.

Why both: a gradient of 16 or 24 elements is one draw of the rounding noise, and PyTorch's two attentions differ there by up
to a factor of 1.9 (qwen2, k_proj.bias of layer 1: 0.016 and 0.031).
"""
import json, os, sys
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

FAMILIES = ["llama", "llama3-rope", "llama-tied-bias", "mistral", "qwen2", "qwen3", "smollm3"]


def packed(ref, window, dtype):
    docs = [ref[f"documents.{k}"] for k in range(sum(n.startswith("documents.") for n in ref))]
    trained = [ref[f"trained.{k}"] for k in range(len(docs))]
    n = sum(map(len, docs))
    mask = torch.full((n, n), torch.finfo(dtype).min, dtype=dtype)
    target, at = torch.full((n,), -100), 0
    for d, t in zip(docs, trained):
        for i in range(len(d)):
            lo = max(0, i - window + 1) if window else 0
            mask[at + i, at + lo:at + i + 1] = 0
            if i + 1 < len(d) and t[i + 1]:
                target[at + i] = d[i + 1]
        at += len(d)
    pos = torch.cat([torch.arange(len(d)) for d in docs])
    return torch.cat(docs)[None], pos[None], mask[None, None], target


def errors(path, dtype, autocast, attention="eager"):
    m = AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation=attention).eval()
    ref = load_file(os.path.join(path, "reference.safetensors"))
    window = m.config.sliding_window if m.config.model_type == "mistral" else None
    ids, pos, mask, target = packed(ref, window, dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits = m(input_ids=ids, position_ids=pos, attention_mask=mask, use_cache=False).logits[0]
        loss = torch.nn.functional.cross_entropy(logits.float(), target, reduction="sum") / (target >= 0).sum()
    loss.backward()
    out = {}
    for name, p in m.named_parameters():
        want = ref["grad." + name].double()
        out[name] = float((p.grad.double() - want).norm() / want.norm())
    return out


def main():
    out = {}
    for f in FAMILIES:
        path = os.path.join(sys.argv[1], f)
        out[f + " eager"] = errors(path, torch.bfloat16, False)
        out[f + " sdpa"] = errors(path, torch.bfloat16, False, "sdpa")
        out[f + " autocast"] = errors(path, torch.float32, True)
        exact = max(errors(path, torch.float32, False).values())
        assert exact < 1e-5, (f, exact)  # the packed row is what the reference is of
    json.dump(out, sys.stdout, indent=1)
    print()


main()

#!/usr/bin/env python3
"""One-layer random models with reference results from transformers, weights and products in float64, for tests/unit.

    python3 make.py .             (PyPI: torch, transformers 5, safetensors)

Each folder gets config.json, model.safetensors (float32) and reference.safetensors: documents.K and trained.K (int64),
logits.K, loss (mean over the trained targets of all documents) and grad.NAME (float32).
"""
import os, sys
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

# llama-bias: weights without gaps in a unit, biases with; qwen3-tied: gaps between k and v, gate and up.
BASE = dict(vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
            max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0)
MODELS = {
    "llama-bias": ("llama", dict(tie_word_embeddings=False, attention_bias=True, mlp_bias=True, num_key_value_heads=2, intermediate_size=32)),
    "qwen3-tied": ("qwen3", dict(tie_word_embeddings=True, head_dim=6)),
}


def main():
    for name, (kind, over) in MODELS.items():
        torch.manual_seed(7)
        cfg = AutoConfig.for_model(kind, **{**BASE, **over})
        m = AutoModelForCausalLM.from_config(cfg, dtype=torch.float32, attn_implementation="eager").eval()
        with torch.no_grad():
            for n, p in m.named_parameters():
                scale = 0.2 if p.dim() == 1 else p.shape[-1] ** -0.5 * 1.7
                p.copy_((torch.rand_like(p) - 0.5) * 2 * scale + (1 if "norm" in n else 0))
        path = os.path.join(sys.argv[1], name)
        m.save_pretrained(path)
        os.path.exists(os.path.join(path, "generation_config.json")) and os.remove(os.path.join(path, "generation_config.json"))
        m = m.double()
        g = torch.Generator().manual_seed(8)
        out, total, count = {}, 0.0, 0
        for k, n in enumerate((7, 3, 9)):
            ids = torch.randint(3, 32, (n,), generator=g)
            trained = (torch.rand(n, generator=g) < 0.7).long()
            trained[0] = 0
            logits = m(input_ids=ids[None], use_cache=False).logits[0]
            nll = torch.nn.functional.cross_entropy(logits[:-1], ids[1:], reduction="none")
            total, count = total + (nll * trained[1:]).sum(), count + int(trained[1:].sum())
            out.update({f"documents.{k}": ids, f"trained.{k}": trained, f"logits.{k}": logits.detach().float()})
        (total / count).backward()
        out["loss"] = (total / count).detach().float()[None]
        out.update({"grad." + n: p.grad.float() for n, p in m.named_parameters()})
        save_file({k: v.contiguous() for k, v in out.items()}, os.path.join(path, "reference.safetensors"))


main()

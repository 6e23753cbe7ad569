#!/usr/bin/env python3
"""Rotary tables of transformers for every kind and both spellings of config.json, frozen for tests/unit/test_desc.c.

    python3 rotary.py > rotary.json           (PyPI: torch, transformers 5)

A list of {config, n, rows: [[position, cosines..., sines...], ...]}: n is the longest sequence that the table is for.
"""
import copy, json, sys
import torch
from transformers import AutoConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

BASE = dict(model_type="llama", vocab_size=8, hidden_size=16, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=64)
LONG = dict(short_factor=[1.0, 1.1, 1.2, 1.3], long_factor=[1.0, 2.0, 4.0, 8.0])
CASES = [
    (dict(rope_theta=500000.0), 40),
    (dict(rope_parameters=dict(rope_type="default", rope_theta=10000.0)), 40),
    (dict(rope_theta=10000.0, rope_scaling=dict(type="linear", factor=4.0)), 40),
    (dict(rope_theta=10000.0, rope_scaling=dict(type="dynamic", factor=2.0)), 40),
    (dict(rope_theta=10000.0, rope_scaling=dict(type="dynamic", factor=2.0)), 200),
    (dict(rope_theta=1e6, rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=16)), 60),
    (dict(rope_theta=10000.0, rope_scaling=dict(rope_type="yarn", factor=8.0, original_max_position_embeddings=16, beta_fast=16, beta_slow=2, mscale=1.0, mscale_all_dim=0.8, truncate=False)), 60),
    (dict(rope_theta=10000.0, rope_scaling=dict(rope_type="yarn", factor=8.0, original_max_position_embeddings=16, attention_factor=0.7)), 60),
    (dict(rope_parameters=dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)), 60),
    (dict(rope_theta=10000.0, rope_scaling=dict(rope_type="longrope", original_max_position_embeddings=32, **LONG)), 30),
    (dict(rope_theta=10000.0, rope_scaling=dict(rope_type="longrope", original_max_position_embeddings=32, **LONG)), 60),
    (dict(rope_theta=10000.0, original_max_position_embeddings=16, rope_scaling=dict(rope_type="longrope", factor=3.0, **LONG)), 60),
]

out = []
for over, n in CASES:
    config = {**BASE, **over}
    c = copy.deepcopy(config)
    c.pop("model_type")
    r = LlamaRotaryEmbedding(AutoConfig.for_model("llama", **c))
    cos, sin = r(torch.zeros(1, dtype=torch.float32), torch.arange(n)[None])
    half = cos.shape[-1] // 2
    rows = [[p] + cos[0, p, :half].tolist() + sin[0, p, :half].tolist() for p in (0, 1, 7, n - 1)]
    out.append(dict(config=config, n=n, rows=rows))
json.dump(out, sys.stdout)
print()

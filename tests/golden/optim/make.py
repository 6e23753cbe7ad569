#!/usr/bin/env python3
"""Learning rates of the schedules of transformers and torch, frozen for tests/unit/test_schedule.c.

    python3 make.py > schedules.json          (PyPI: torch, transformers 5)

A list of {name, total, warmup, lr, args, rate: [learning rate of step 0, 1, ...]}. Axolotl's own variants of cosine and rex
come from their formulas, written down here a second time.
"""
import json, math, sys
import torch
from transformers import get_scheduler

CASES = [
    ("linear", 20, 3, 1e-3, {}), ("linear", 20, 0, 1e-3, {}), ("linear", 5, 7, 1e-3, {}),
    ("cosine", 20, 3, 2e-5, {}), ("cosine", 50, 0, 2e-5, {}), ("cosine", 20, 4, 2e-5, {"num_cycles": 1.5}),
    ("constant", 5, 2, 1e-4, {}), ("constant_with_warmup", 8, 3, 1e-4, {}),
    ("cosine_with_restarts", 20, 2, 1e-3, {"num_cycles": 3}), ("cosine_with_restarts", 20, 2, 1e-3, {}),
    ("cosine_with_min_lr", 20, 3, 1e-3, {"min_lr": 1e-4}), ("cosine_with_min_lr", 20, 0, 1e-3, {"min_lr_rate": 0.2}),
    ("polynomial", 20, 3, 1e-3, {}), ("polynomial", 20, 3, 1e-3, {"power": 2.0, "lr_end": 1e-5}),
    ("inverse_sqrt", 20, 4, 1e-3, {}), ("inverse_sqrt", 20, 0, 1e-3, {}), ("inverse_sqrt", 20, 2, 1e-3, {"timescale": 7}),
    ("warmup_stable_decay", 20, 4, 1e-3, {"num_decay_steps": 6}),
    ("warmup_stable_decay", 20, 4, 1e-3, {"num_decay_steps": 6, "min_lr_ratio": 0.1, "decay_type": "linear", "warmup_type": "cosine"}),
    ("warmup_stable_decay", 20, 4, 1e-3, {"num_decay_steps": 5, "num_stable_steps": 8, "decay_type": "1-sqrt", "warmup_type": "1-sqrt"}),
    ("one_cycle", 20, 6, 1e-3, {}), ("one_cycle", 20, 6, 1e-3, {"final_div_factor": 100.0, "anneal_strategy": "linear"}),
]


def rates(name, total, warmup, lr, args):
    opt = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    if name == "one_cycle":
        s = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=lr, total_steps=total, pct_start=warmup / total, **args)
    else:
        s = get_scheduler(name, opt, warmup, total, scheduler_specific_kwargs=args)
    out = []
    for _ in range(total if name == "one_cycle" else total + 3):
        out.append(opt.param_groups[0]["lr"])
        opt.step()
        s.step() if len(out) < total or name != "one_cycle" else None
    return out


def axolotl(total, warmup, lr, keys):
    """cosine with quadratic warm-up, with a minimum, with a minimum reached early; p is the share of the decay done."""
    out, least, early = [], keys.get("cosine_min_lr_ratio", 0.0), keys.get("cosine_constant_lr_ratio", 0.0)
    for step in range(total + 3):
        if step < warmup:
            out.append(lr * (step / warmup) ** (2 if keys.get("lr_quadratic_warmup") else 1))
            continue
        end = int(total * early) if early and least else total
        p = (min(step, end) if early and least else step) - warmup
        p /= max(1, end - warmup)
        out.append(lr * ((0 if keys.get("lr_quadratic_warmup") else least) + (1 - (0 if keys.get("lr_quadratic_warmup") else least)) * 0.5 * (1 + math.cos(math.pi * p))))
    return out


def rex(total, warmup, lr, least):
    out = []
    for step in range(total + 3):
        if step < warmup:
            out.append(lr * step / warmup)
            continue
        z = max(0, total - step) / (total - warmup)
        out.append(lr * (least + (1 - least) * z / (0.1 + 0.9 * z)))
    return out


KEYS = [dict(cosine_min_lr_ratio=0.1), dict(cosine_min_lr_ratio=1.0), dict(cosine_min_lr_ratio=0.1, cosine_constant_lr_ratio=0.6),
        dict(cosine_min_lr_ratio=0.1, cosine_constant_lr_ratio=0.0), dict(lr_quadratic_warmup=True), dict(lr_quadratic_warmup=True, cosine_min_lr_ratio=0.3)]
out = [dict(name=n, total=t, warmup=w, lr=lr, args=a, rate=rates(n, t, w, lr, a)) for n, t, w, lr, a in CASES]
out += [dict(name="cosine", total=20, warmup=4, lr=1e-3, rate=axolotl(20, 4, 1e-3, k), **k) for k in KEYS]
out += [dict(name="rex", total=20, warmup=3, lr=1e-3, cosine_min_lr_ratio=r, rate=rex(20, 3, 1e-3, r)) for r in (0.0, 0.1)]
json.dump(out, sys.stdout)
print()

#!/usr/bin/env python3
"""Writes optimizers.json: trajectories of torch.optim (made with torch 1.13) in f64.

The loss is sum(c * (x - t)^2) + sum(w * x) over one parameter of four elements; its gradient
2 c (x - t) + w is simple enough to be written again in the test.
"""

import json
import pathlib

import torch

HERE = pathlib.Path(__file__).parent
START, C, T, W = [1.0, -2.0, 0.5, 3.0], [0.5, 1.0, 2.0, 0.1], [0.0, 1.0, 0.5, -1.0], \
    [0.3, 0.0, -1.5, 0.2]
STEPS = 7

cases = {
    "sgd": (torch.optim.SGD, dict(lr=0.1)),
    "sgd_decay": (torch.optim.SGD, dict(lr=0.1, weight_decay=0.2)),
    "sgd_momentum": (torch.optim.SGD, dict(lr=0.05, momentum=0.9)),
    "sgd_dampening": (torch.optim.SGD,
                      dict(lr=0.05, momentum=0.9, dampening=0.4, weight_decay=0.1)),
    "sgd_nesterov": (torch.optim.SGD,
                     dict(lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.1)),
    "adam": (torch.optim.Adam, dict(lr=0.1)),
    "adam_l2": (torch.optim.Adam, dict(lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.3)),
    "adamw": (torch.optim.AdamW, dict(lr=0.1, weight_decay=0.0)),
    "adamw_decay": (torch.optim.AdamW,
                    dict(lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.3)),
    "adagrad": (torch.optim.Adagrad, dict(lr=0.1)),
    "adagrad_all": (torch.optim.Adagrad,
                    dict(lr=0.2, lr_decay=0.1, weight_decay=0.3, initial_accumulator_value=0.5,
                         eps=1e-3)),
    "rms_prop": (torch.optim.RMSprop, dict(lr=0.05)),
    "rms_prop_momentum": (torch.optim.RMSprop,
                          dict(lr=0.02, alpha=0.9, momentum=0.8, weight_decay=0.1)),
    "rms_prop_centered": (torch.optim.RMSprop, dict(lr=0.05, alpha=0.9, eps=1e-3, centered=True)),
    "rms_prop_all": (torch.optim.RMSprop,
                     dict(lr=0.02, alpha=0.8, eps=1e-3, momentum=0.5, centered=True,
                          weight_decay=0.2)),
}


def trajectory(optimizer_class, options):
    x = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = optimizer_class([x], **options)
    c, t, w = (torch.tensor(v, dtype=torch.float64) for v in (C, T, W))
    points = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        ((c * (x - t) ** 2).sum() + (w * x).sum()).backward()
        optimizer.step()
        points.append(x.tolist())
    return points


def schedule(scheduler_of, steps):
    x = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([x], lr=0.4)
    scheduler = scheduler_of(optimizer)
    rates = []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler(step)
    return rates


def stepping(make):
    def build(optimizer):
        scheduler = make(optimizer)
        return lambda step: scheduler.step()
    return build


PLATEAU_LOSSES = [3.0, 2.0, 2.0, 1.9999, 2.5, float("nan"), 1.0, 1.5, 1.2, 1.1, 1.0, 0.99995, 1.3,
                  1.0, 1.0, 1.0]


def plateau(optimizer):
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=2, threshold=1e-3, min_lr=0.1)
    return lambda step: scheduler.step(PLATEAU_LOSSES[step])


lr_scheduler = torch.optim.lr_scheduler
golden = {
    "start": START, "c": C, "t": T, "w": W,
    "trajectories": {name: trajectory(*case) for name, case in cases.items()},
    "schedules": {
        "cosine": schedule(stepping(
            lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=10, eta_min=0.05)), 10),
        "step": schedule(stepping(lambda o: lr_scheduler.StepLR(o, 3, gamma=0.5)), 10),
        "plateau": schedule(plateau, len(PLATEAU_LOSSES)),
        "linear": schedule(stepping(lambda o: lr_scheduler.LinearLR(
            o, start_factor=1.0, end_factor=0.25, total_iters=6)), 10),
        "one_cycle": schedule(stepping(lambda o: lr_scheduler.OneCycleLR(
            o, max_lr=0.4, total_steps=12, cycle_momentum=False)), 12),
        "one_cycle_linear": schedule(stepping(lambda o: lr_scheduler.OneCycleLR(
            o, max_lr=0.4, total_steps=10, pct_start=0.5, anneal_strategy="linear", div_factor=8,
            final_div_factor=20, cycle_momentum=False)), 10),
        "inverse_sqrt": schedule(stepping(lambda o: lr_scheduler.LambdaLR(
            o, lambda step: min((step + 1) / 4, (4 / (step + 1)) ** 0.5))), 10),
        "sequential": schedule(stepping(lambda o: lr_scheduler.SequentialLR(
            o, [lr_scheduler.ConstantLR(o, factor=0.1, total_iters=2),
                lr_scheduler.ExponentialLR(o, gamma=0.9)], milestones=[2])), 10),
        "chained": schedule(stepping(lambda o: lr_scheduler.ChainedScheduler(
            [lr_scheduler.LinearLR(o, start_factor=0.25, total_iters=4),
             lr_scheduler.StepLR(o, 3, gamma=0.5)])), 10),
    },
    # JSON has no NaN: null stands for it.
    "plateau_losses": [None if loss != loss else loss for loss in PLATEAU_LOSSES],
}
(HERE / "optimizers.json").write_text(json.dumps(golden) + "\n")

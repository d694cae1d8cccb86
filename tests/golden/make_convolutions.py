#!/usr/bin/env python3
"""Writes convolutions.json: torch's convolutions and transposed convolutions (made with torch 1.13)
in f64: results, gradients of x, weight and bias for the loss sum(y^2) / 2, and the gradients of the
sum of the squares of those, which need the gradients' own.

Operands are waves, which the test makes again: element i is a sin(f i + p), counted in Trireme's
order of dimensions, with channels last. All values are in that order.
"""

import json
import pathlib

import torch
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent


def wave(shape, frequency, phase):
    count = 1
    for extent in shape:
        count *= extent
    i = torch.arange(count, dtype=torch.float64)
    return (0.7 * torch.sin(frequency * i + phase)).reshape(shape).requires_grad_()


def channels_first(t):
    return t.movedim(-1, 1)


def run(kind, x, weight, bias, **options):
    function = getattr(F, kind)
    groups = options.get("groups", 1)
    out = weight[-1] * groups if "transpose" in kind else weight[0]
    leaves = [wave(x, 0.9, 0.1), wave(weight, 1.3, 0.4)]
    if bias:
        leaves.append(wave([out], 0.5, 1.0))
    y = function(channels_first(leaves[0]), channels_first(leaves[1]),
                 leaves[2] if bias else None, **options).movedim(1, -1)
    first = torch.autograd.grad(y.square().sum() / 2, leaves, create_graph=True)
    second = torch.autograd.grad(sum(d.square().sum() for d in first), leaves)
    dims = len(x) - 2
    names = ["stride", "padding", "dilation"] + (["output_padding"] if "transpose" in kind else [])
    spread = {n: options.get(n, 0 if "padding" in n else 1) for n in names}
    spread = {n: list(v) if isinstance(v, tuple) else [v] * dims for n, v in spread.items()}
    return {"kind": kind, "x": x, "weight": weight, "bias": out if bias else 0, "groups": groups,
            **spread, "shape": list(y.shape), "y": y.flatten().tolist(),
            "first": [d.flatten().tolist() for d in first],
            "second": [d.flatten().tolist() for d in second]}


golden = [
    run("conv2d", [2, 4, 5, 3], [2, 3, 2, 3], True, stride=(1, 2), padding=1),
    run("conv2d", [1, 6, 5, 4], [4, 2, 3, 2], False, dilation=(2, 1), groups=2),
    run("conv_transpose2d", [2, 3, 2, 2], [2, 3, 2, 3], True),
    run("conv_transpose2d", [1, 3, 3, 3], [3, 3, 3, 2], True, stride=2, padding=1,
        output_padding=1),
    run("conv_transpose2d", [2, 2, 3, 4], [4, 2, 3, 1], False, stride=(3, 2), padding=(0, 1),
        output_padding=(2, 0), dilation=(1, 2), groups=2),
    run("conv1d", [2, 7, 2], [3, 3, 2], True, stride=2, padding=2),
    run("conv1d", [1, 8, 4], [4, 2, 1], False, dilation=3, groups=4),
    run("conv_transpose1d", [2, 4, 2], [2, 4, 3], True, stride=2, padding=1),
    run("conv_transpose1d", [1, 5, 4], [4, 3, 2], True, stride=3, output_padding=2, groups=2),
]
(HERE / "convolutions.json").write_text(json.dumps(golden) + "\n")

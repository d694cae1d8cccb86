#!/usr/bin/env python3
"""Writes losses.json: losses and activations of torch.nn.functional (made with torch 1.13) in f64,
with the gradients of their operands.

Operands are waves, which the test makes again: element i is a sin(f i + p). The loss that is
differentiated is sum(y * wave) over the result y.
"""

import json
import pathlib

import torch
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent


def wave(shape, frequency, phase, amplitude=1.5):
    count = 1
    for extent in shape:
        count *= extent
    i = torch.arange(count, dtype=torch.float64)
    return (amplitude * torch.sin(frequency * i + phase)).reshape(shape)


X, Y = wave((4, 6), 1.3, 0.2), wave((4, 6), 0.7, 1.1)
PROBABILITIES = (wave((4, 6), 0.7, 1.1, 0.45) + 0.5)
TARGETS = torch.tensor([2, 0, 5, 2])
IGNORED = torch.tensor([2, -100, 5, -100])
WEIGHT = wave((6,), 0.9, 0.4, 0.5) + 1
POSITIVE = wave((6,), 0.5, 0.1, 0.5) + 1.5
LOG_P, LOG_Q = F.log_softmax(X, -1), F.log_softmax(Y, -1)

cases = {}


def case(name, operands, function):
    leaves = [x.clone().requires_grad_() for x in operands]
    y = function(*leaves)
    (y * wave(y.shape, 1.9, 0.3)).sum().backward()
    cases[name] = {"y": y.flatten().tolist(),
                   "gradients": [x.grad.flatten().tolist() for x in leaves]}


for reduction in ("none", "mean", "sum"):
    r = dict(reduction=reduction)
    case(f"mse_{reduction}", [X, Y], lambda x, t: F.mse_loss(x, t, **r))
    case(f"l1_{reduction}", [X, Y], lambda x, t: F.l1_loss(x, t, **r))
    case(f"smooth_l1_{reduction}", [X, Y], lambda x, t: F.smooth_l1_loss(x, t, beta=0.7, **r))
    case(f"huber_{reduction}", [X, Y], lambda x, t: F.huber_loss(x, t, delta=0.7, **r))
    case(f"kl_div_{reduction}", [LOG_P, LOG_Q.exp()], lambda x, t: F.kl_div(x, t, **r))
    case(f"kl_div_log_{reduction}", [LOG_P, LOG_Q],
         lambda x, t: F.kl_div(x, t, log_target=True, **r))
    case(f"bce_{reduction}", [X, PROBABILITIES],
         lambda x, t: F.binary_cross_entropy_with_logits(x, t, **r))
    case(f"bce_weighted_{reduction}", [X, PROBABILITIES],
         lambda x, t: F.binary_cross_entropy_with_logits(x, t, weight=WEIGHT, pos_weight=POSITIVE,
                                                         **r))
    case(f"nll_{reduction}", [LOG_P], lambda x: F.nll_loss(x, TARGETS, **r))
    case(f"nll_weighted_{reduction}", [LOG_P],
         lambda x: F.nll_loss(x, IGNORED, weight=WEIGHT, **r))
    case(f"cross_entropy_{reduction}", [X], lambda x: F.cross_entropy(x, TARGETS, **r))
    case(f"cross_entropy_all_{reduction}", [X],
         lambda x: F.cross_entropy(x, IGNORED, weight=WEIGHT, label_smoothing=0.2, **r))

case("silu", [X], F.silu)
case("elu", [X], lambda x: F.elu(x, alpha=0.8))
case("softplus", [X], lambda x: F.softplus(x, beta=2, threshold=1.5))
case("leaky_relu", [X], lambda x: F.leaky_relu(x, 0.2))
case("mish", [X], F.mish)
case("glu", [X], lambda x: F.glu(x, dim=-1))
case("glu_rows", [X], lambda x: F.glu(x, dim=0))
case("swiglu", [X, Y], lambda x, y: F.silu(x) * y)
# Channels are the second dimension there and the last one here.
case("group_norm", [X, WEIGHT, POSITIVE],
     lambda x, w, b: F.group_norm(x.reshape(2, 2, 6).transpose(1, 2), 3, w, b, eps=1e-3)
     .transpose(1, 2).reshape(4, 6))

(HERE / "losses.json").write_text(json.dumps(cases) + "\n")

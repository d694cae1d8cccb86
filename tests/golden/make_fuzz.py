#!/usr/bin/env python3
"""Writes fuzz.json: random programs of 50 ops with the loss and the input gradients that torch
gives them in f64 (made with torch 1.13; needs nothing else).

A program starts from some inputs, and every step appends its results to them. A step names an op of
golden_ops.h's table, its operands by their number, and its arguments. The loss is the sum over all
results that no step took of mean(result * w), where element i of w is cos(i + 1).

A step is proposed blindly and taken if torch accepts it, the results are small, few and finite, and
no element is so near a kink or a tie that rounding could choose another side. An op that Trireme
gains is a line in OPS, and every line is in some program. `make_fuzz.py 2000` makes that many
programs, for one run of golden_test.
"""

import json
import math
import pathlib
import random
import sys

import torch
from torch.nn import functional as F

PROGRAMS, STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 40, 50
SHAPES = [(3, 4), (4,), (2, 3, 4), (4, 3), (3, 1), (), (2, 4, 4), (1, 2, 3, 4), (4, 2, 3)]
LARGEST, MOST = 20, 48
NEAR = 1e-6  # the least distance from a kink


def rank(x):
    return max(x.dim(), 1)


def dim_of(r, x, *_):
    if x.dim() == 0:
        raise IndexError("a scalar has no dimension here, though torch lets it have one")
    return {"dim": r.randrange(-rank(x), rank(x))}


def no_arguments(r, *_):
    return {}


def away_from_zero(x, *_):
    return x.abs().min() > NEAR


def apart(a, b):
    return (a - b).abs().min() > NEAR


def no_ties(x, *_):
    return x.numel() < 2 or x.flatten().sort()[0].diff().min() > NEAR


def above(least):
    return lambda x, *_: x.min() > least


def divides(_, b):
    return b.abs().min() > 0.3


def spread(x, *_):
    return x.numel() > 1 and x.std() > 0.1


def spread_along(x, *_):
    return all(x.std(d, unbiased=False).min() > 0.05 for d in range(x.dim()))


def even(x):
    return x.dim() == 4 and x.shape[-1] % 2 == 0


def rotary(x):
    half = x.shape[-1] // 2
    angles = torch.arange(x.shape[1], dtype=torch.float64)[:, None] * 10000.0 ** (
        -torch.arange(half, dtype=torch.float64) / half)
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def channels_first(function):
    return lambda x, weight, **options: function(x.movedim(-1, 1), weight.movedim(-1, 1),
                                                 **options).movedim(1, -1)


def any_values(*_):
    return True


def slice_of(r, x):
    dim = r.randrange(rank(x))
    begin = r.randrange(x.shape[dim])
    return {"dim": dim, "begin": begin, "end": r.randrange(begin, x.shape[dim]) + 1}


def some_dims(r, x):
    if x.dim() == 0:
        raise IndexError("as in dim_of")
    dims = r.sample(range(x.dim()), r.randint(1, x.dim()))
    return {"dims": sorted(dims), "keep": r.random() < 0.7}


def order_of(r, x):
    return {"dim": r.randrange(rank(x)), "order": r.choice(["ascending", "descending"])}


def several(function):
    return lambda *parts, dim: function(parts, dim)


#: op: operands by name ("x" real, "index" integers, "mask" booleans), arguments, torch's function,
#: and what must hold for the operands.
OPS = {}


def op(name, operands, function, arguments=no_arguments, holds=any_values):
    OPS[name] = (operands.split(), function, arguments, holds)


for name, function in {"neg": torch.neg, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
                       "sin": torch.sin, "cos": torch.cos, "square": torch.square,
                       "exp": torch.exp, "silu": F.silu, "mish": F.mish}.items():
    op(name, "x", function)
for name, function in {"relu": torch.relu, "abs": torch.abs}.items():
    op(name, "x", function, holds=away_from_zero)
for name, function in {"log": torch.log, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt,
                       "reciprocal": torch.reciprocal}.items():
    op(name, "x", function, holds=above(0.2))
op("gelu", "x", lambda x, form: F.gelu(x, approximate="none" if form == "erf" else "tanh"),
   lambda r, x: {"form": r.choice(["erf", "tanh"])})
op("elu", "x", lambda x, alpha: F.elu(x, alpha), lambda r, x: {"alpha": 1.5}, away_from_zero)
op("leaky_relu", "x", lambda x, slope: F.leaky_relu(x, slope), lambda r, x: {"slope": 0.25},
   away_from_zero)
op("softplus", "x", lambda x, beta, threshold: F.softplus(x, beta, threshold),
   lambda r, x: {"beta": 2, "threshold": 60})
op("glu", "x", lambda x, dim: F.glu(x, dim), dim_of)
op("swiglu", "gate x", lambda gate, x: F.silu(gate) * x, holds=lambda g, x: g.shape == x.shape)
for name, function in {"add": torch.add, "sub": torch.sub, "mul": torch.mul}.items():
    op(name, "a b", function)
op("div", "a b", torch.div, holds=divides)
op("maximum", "a b", torch.maximum, holds=apart)
op("minimum", "a b", torch.minimum, holds=apart)
op("greater", "a b", torch.gt, holds=apart)
op("where", "condition a b", torch.where)
op("masked_fill", "x mask", lambda x, mask, value: x.masked_fill(mask, value),
   lambda r, *_: {"value": 0.5}, lambda x, m: torch.broadcast_shapes(x.shape, m.shape) == x.shape)
for name, function in {"sum": torch.sum, "mean": torch.mean}.items():
    op(name, "x", lambda x, dims, keep, f=function: f(x, dims, keepdim=keep), some_dims)
op("var", "x", lambda x, dims, keep, correction: x.var(dims, correction=correction, keepdim=keep),
   lambda r, x: some_dims(r, x) | {"correction": 0})
op("std", "x", lambda x, dims, keep, correction: x.std(dims, correction=correction, keepdim=keep),
   lambda r, x: some_dims(r, x) | {"correction": 0}, spread_along)
op("clamp", "x", lambda x, low, high: x.clamp(low, high),
   lambda r, x: {"low": -0.75, "high": 0.5}, lambda x: apart(x, -0.75) and apart(x, 0.5))
op("pow", "x", lambda x, exponent: x.pow(exponent), lambda r, x: {"exponent": r.choice([1.5, -2])},
   above(0.3))
op("norm", "x", lambda x, p, dims, keep: torch.linalg.vector_norm(x, p, dims, keep),
   lambda r, x: some_dims(r, x) | {"p": r.choice([2, 3])}, away_from_zero)
for name, function in {"max": torch.max, "min": torch.min}.items():
    op(name, "x", lambda x, dim, keep, f=function: f(x, dim, keepdim=keep)[0],
       lambda r, x: dim_of(r, x) | {"keep": r.random() < 0.7}, no_ties)
op("prod", "x", lambda x, dim, keep: x.prod(dim, keepdim=keep),
   lambda r, x: dim_of(r, x) | {"keep": True})
op("cumsum", "x", lambda x, dim: x.cumsum(dim), dim_of)
op("softmax", "x", lambda x, dim: torch.softmax(x, dim), dim_of)
op("log_softmax", "x", lambda x, dim: torch.log_softmax(x, dim), dim_of)
op("layer_norm", "x", lambda x: F.layer_norm(x, x.shape[-1:]), holds=spread)
op("rms_norm", "x", lambda x: x * (x.square().mean(-1, keepdim=True) + 1e-5).rsqrt(), holds=spread)
op("group_norm", "x", lambda x, groups: F.group_norm(x.movedim(-1, 1), groups).movedim(1, -1),
   lambda r, x: {"groups": 2}, spread)
op("matmul", "a b", torch.matmul, holds=lambda a, b: min(a.dim(), b.dim()) > 1)
op("bmm", "a b", torch.bmm)
op("addmm", "x a b", lambda x, a, b, beta, alpha: torch.addmm(x, a, b, beta=beta, alpha=alpha),
   lambda r, *_: {"beta": 0.5, "alpha": -0.75})
op("linear", "x weight", lambda x, weight: x @ weight,
   holds=lambda x, w: w.dim() == 2 and x.dim() > 0 and x.shape[-1] == w.shape[0])
op("einsum", "p0 p1", lambda p0, p1, equation: torch.einsum(equation, p0, p1),
   lambda r, *_: {"equation": r.choice(["ij,jk->ik", "ij,kj->ki", "bij,bjk->bk", "...i,i->..."])})
op("reshape", "x", lambda x, shape: x.reshape(shape),
   lambda r, x: {"shape": r.choice([[-1], [2, -1], [-1, 2], [-1, 3], [1, -1, 4]])})
op("transpose", "x", lambda x, dim0, dim1: x.transpose(dim0, dim1),
   lambda r, x: {"dim0": r.randrange(rank(x)), "dim1": r.randrange(rank(x))},
   lambda x: x.dim() > 0)
op("permute", "x", lambda x, order: x.permute(order),
   lambda r, x: {"order": r.sample(range(x.dim()), x.dim())}, lambda x: x.dim() > 0)
op("slice", "x", lambda x, dim, begin, end: x.narrow(dim, begin, end - begin), slice_of,
   lambda x: x.dim() > 0)
op("expand", "x", lambda x, shape: x.expand(shape), lambda r, x: {"shape": [2, *x.shape]},
   lambda x: x.dim() < 3)
op("squeeze", "x", lambda x, dim: x.squeeze(dim), dim_of,
   lambda x: x.dim() > 0 and all(n == 1 for n in x.shape))
op("unsqueeze", "x", lambda x, dim: x.unsqueeze(dim), lambda r, x: {"dim": r.randint(0, x.dim())},
   lambda x: x.dim() < 4)
op("concat", "p0 p1", several(torch.cat), dim_of, lambda a, b: a.dim() > 0)
op("stack", "p0 p1", several(torch.stack), lambda r, x, _: {"dim": r.randint(0, x.dim())})
op("flip", "x", lambda x, dims: x.flip(dims), lambda r, x: {"dims": [r.randrange(x.dim())]})
op("pad", "x", lambda x, padding, value: F.pad(x, padding, value=value),
   lambda r, x: {"padding": [r.randint(-1, 1), r.randint(0, 2)], "value": 0.25},
   lambda x: x.dim() > 0 and x.shape[-1] > 1)
op("repeat", "x", lambda x, repeats: x.repeat(repeats),
   lambda r, x: {"repeats": [2] + [1] * (x.dim() - 1)}, lambda x: x.dim() > 0)
op("split", "x", lambda x, size, dim: x.split(size, dim), lambda r, x: {"size": 2, **dim_of(r, x)},
   lambda x: x.dim() > 0)
op("chunk", "x", lambda x, count, dim: x.chunk(count, dim),
   lambda r, x: {"count": 2, **dim_of(r, x)}, lambda x: x.dim() > 0)
op("tril", "x", lambda x, diagonal: x.tril(diagonal), lambda r, x: {"diagonal": r.randint(-1, 1)})
op("triu", "x", lambda x, diagonal: x.triu(diagonal), lambda r, x: {"diagonal": r.randint(-1, 1)})
op("argsort", "x", lambda x, dim, order: x.argsort(dim, order == "descending"), order_of,
   lambda x: x.dim() > 0 and no_ties(x))
op("sort", "x", lambda x, dim, order: tuple(x.sort(dim, order == "descending")), order_of,
   lambda x: x.dim() > 0 and no_ties(x))
op("topk", "x", lambda x, k, dim, order: tuple(x.topk(k, dim, order == "descending")),
   lambda r, x: {"k": 2, **order_of(r, x)}, lambda x: x.dim() > 0 and no_ties(x))
op("gather", "x index", lambda x, index, dim: x.gather(dim, index), lambda r, x, _: dim_of(r, x),
   lambda x, i: x.dim() > 0 and x.dim() == i.dim())
op("scatter_add", "x index src", lambda x, index, src, dim: x.scatter_add(dim, index, src),
   lambda r, x, *_: dim_of(r, x), lambda x, i, s: x.dim() > 0 and i.shape == s.shape)
op("index_select", "x index", lambda x, index, dim: x.index_select(dim, index),
   lambda r, x, _: dim_of(r, x), lambda x, i: x.dim() > 0 and i.dim() == 1)
op("embedding", "weight ids", lambda weight, ids: F.embedding(ids, weight),
   holds=lambda w, i: w.dim() == 2)
op("cross_entropy", "logits targets", F.cross_entropy,
   holds=lambda x, t: x.dim() == 2 and t.dim() == 1)
op("mse_loss", "x targets", lambda x, targets: F.mse_loss(x, targets),
   holds=lambda x, t: x.shape == t.shape)
op("nll_loss", "log_p targets", F.nll_loss, holds=lambda x, t: x.dim() == 2 and t.dim() == 1)
op("l1_loss", "x targets", lambda x, targets: F.l1_loss(x, targets),
   holds=lambda x, t: x.shape == t.shape and apart(x, t))
op("smooth_l1_loss", "x targets", lambda x, targets, beta: F.smooth_l1_loss(x, targets, beta=beta),
   lambda r, *_: {"beta": 0.75}, lambda x, t: x.shape == t.shape and apart((x - t).abs(), 0.75))
op("binary_cross_entropy_with_logits", "x targets",
   lambda x, targets: F.binary_cross_entropy_with_logits(x, targets),
   holds=lambda x, t: x.shape == t.shape)
op("conv1d", "x weight", channels_first(F.conv1d), lambda r, *_: {"padding": [1]},
   lambda x, w: x.dim() == 3 and w.dim() == 3 and x.shape[-1] == w.shape[-1])
op("conv_transpose1d", "x weight", channels_first(F.conv_transpose1d),
   lambda r, *_: {"stride": [2]},
   lambda x, w: x.dim() == 3 and w.dim() == 3 and x.shape[-1] == w.shape[0])
op("avg_pool2d", "x", lambda x, kernel: F.avg_pool2d(x.movedim(-1, 1), kernel).movedim(1, -1),
   lambda r, x: {"kernel": [1, 2]}, lambda x: x.dim() == 4)
op("rotary_embedding", "x", rotary, holds=even)
KINDS = {"index": torch.int64, "ids": torch.int64, "targets": torch.int64, "mask": torch.bool,
         "condition": torch.bool}


def kind_of(name, operand):
    if name.endswith(("mse_loss", "l1_loss", "logits")):
        return torch.float64
    return KINDS.get(operand, torch.float64)


def propose(r, values):
    """A step with its results, or None."""
    name = r.choice(list(OPS))
    operands, function, arguments, holds = OPS[name]
    chosen = {}
    for operand in operands:
        fitting = [i for i, v in enumerate(values) if v.dtype == kind_of(name, operand)]
        if not fitting:
            return None
        # Mostly what has just been made: the graph becomes deep.
        chosen[operand] = r.choice(fitting[-6:] if r.random() < 0.6 else fitting)
    taken = [values[i] for i in chosen.values()]
    try:
        if not holds(*taken):
            return None
        given = arguments(r, *taken)
        results = function(*taken, **given)
    except (RuntimeError, IndexError, ValueError):  # shapes that do not fit
        return None
    results = list(results) if isinstance(results, tuple) else [results]
    for result in results:
        if not 0 < result.numel() <= MOST or result.dim() > 4:
            return None
        if result.is_floating_point() and not (result.abs() <= LARGEST).all():  # false for a NaN
            return None
    return {"op": name, "in": chosen, "with": given}, results


def make(seed):
    r = random.Random(seed)
    inputs = [(torch.tensor([r.randrange(-128, 128) for _ in range(math.prod(shape))],
                            dtype=torch.float64) / 64).reshape(shape) for shape in SHAPES]
    inputs.append(torch.tensor([r.randrange(3) for _ in range(3)]))
    leaves = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
    values, steps, used = list(leaves), [], set()
    while len(steps) < STEPS:
        step = propose(r, values)
        if step is None:
            continue
        steps.append(step[0])
        used.update(step[0]["in"].values())
        values += step[1]
    loss = torch.zeros((), dtype=torch.float64)
    for i, value in enumerate(values):
        if i >= len(leaves) and i not in used and value.dtype == torch.float64:
            weights = torch.tensor([math.cos(k + 1) for k in range(value.numel())],
                                   dtype=torch.float64).reshape(value.shape)
            loss = loss + (value * weights).mean()
    wanted = [x for x in leaves if x.requires_grad]
    gradients = torch.autograd.grad(loss, wanted, allow_unused=True)
    largest = max(float(g.abs().max()) for g in gradients if g is not None)
    if largest > 1e3:
        return None  # too steep to compare
    program = {"seed": seed, "steps": steps, "loss": loss.item(), "inputs": [
        {"shape": list(x.shape), "dtype": "f64" if x.is_floating_point() else "i64",
         "values": x.flatten().tolist()} for x in inputs]}
    program["gradients"] = [None if g is None else g.flatten().tolist() for g in gradients]
    return program


programs, seed, used = [], 0, set()
while len(programs) < PROGRAMS or used != set(OPS):
    program = make(seed)
    seed += 1
    if program is None:
        continue
    ops = {step["op"] for step in program["steps"]}
    if len(programs) < PROGRAMS or not ops <= used:  # beyond that, those with an op that lacked
        programs.append(program)
        used |= ops
text = ",\n".join(json.dumps(program, separators=(",", ":")) for program in programs)
(pathlib.Path(__file__).parent / "fuzz.json").write_text("[" + text + "]\n")
print(f"{len(programs)} programs of {seed} seeds")

"""Operands, cases and files of golden values: what the ops_*.py and modules.py share.

    case("softmax", lambda x, dim: torch.softmax(x, dim), {"x": real(3, 7)}, dim=0)

says: the op `softmax` of Trireme, called with the operand x and the argument dim, gives what the
function gives, and so do its gradients. Everything is computed in f64. Operands are drawn from the
numbers that f64, f32, bf16 and f16 all have, with a seed that is the case's name: so one set of
values serves every dtype, and a run makes the same operands again with any version of torch.
"""

import json
import math
import pathlib
import random
import struct

import torch

HERE = pathlib.Path(__file__).parent
ALL = ["f64", "f32", "bf16", "f16"]
WIDE = ["f64", "f32", "bf16"]  # those with f32's range of exponents
INF, NAN = math.inf, math.nan
#: Numbers that most functions treat in a branch of their own.
EXTREMES = [INF, -INF, NAN, 0.0, -0.0, 1e-40, -1e-40, 3e38, -3e38, 1e-30, 88, -88, 100, -100, 1e4,
            -1e4]


#: The same for f16: its largest bf16 number, its smallest ones of either kind.
EXTREMES_OF_F16 = [INF, -INF, NAN, 0.0, -0.0, 2.0**-24, -2.0**-24, 2.0**-14, 65280, -65280, 9, -9,
                   256, -256, 2.0**-11, 1]


class Operand:
    """How one operand is drawn, and whether its gradient is wanted."""

    def __init__(self, draw, grad):
        self.draw, self.grad = draw, grad


def real(*shape, low=-2.0, high=2.0, grad=True):
    """Multiples of a power of two in [low, high), 256 at most; all different where they suffice."""
    count = math.prod(shape)
    step = 2.0 ** math.ceil(math.log2(max(abs(low), abs(high)) / 256))
    levels = range(math.ceil(low / step), math.ceil(high / step))

    def draw(rng):
        if count <= len(levels):
            chosen = sorted(levels, key=lambda _: rng.random())[:count]
        else:
            chosen = [levels[int(rng.random() * len(levels))] for _ in range(count)]
        return (torch.tensor(chosen, dtype=torch.float64) * step).reshape(shape)

    return Operand(draw, grad)


def ints(*shape, low=0, high=2):
    def draw(rng):
        values = [low + int(rng.random() * (high - low)) for _ in range(math.prod(shape))]
        return torch.tensor(values, dtype=torch.int64).reshape(shape)

    return Operand(draw, False)


def bools(*shape):
    return Operand(lambda rng: ints(*shape).draw(rng).bool(), False)


def given(values, grad=True):
    """These numbers: reals rounded to bf16, or integers, or bools."""
    value = torch.tensor(values)
    if value.is_floating_point():
        value = torch.tensor(values, dtype=torch.float32).bfloat16().double()
    return Operand(lambda _: value.clone(), grad and value.is_floating_point())


def const(operand):
    return Operand(operand.draw, False)


cases = []  # what the C++ side reads: see golden_case.h
drawn, computed = {}, {}  # of each case: operands and upstream gradients, and what torch gives
NAMES = {torch.float64: "f64", torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16",
         torch.int64: "i64", torch.int32: "i32", torch.bool: "bool"}


def check_drawn(name, value, dtypes):
    if value.is_floating_point():
        for dtype, kind in (("bf16", torch.bfloat16), ("f16", torch.float16)):
            if dtype in dtypes:
                kept = value.to(kind).double()
                assert torch.equal(kept.nan_to_num(), value.nan_to_num()), f"{name} in {dtype}"


def flat(values, dtype):
    return torch.cat([torch.zeros(0, dtype=dtype)] + [v.detach().to(dtype).flatten()
                                                      for v in values])


def case(op, function, operands, *, slack=1, roundings=1, more_on_cuda=0, compare="close",
         dtypes=ALL, **arguments):
    """Adds a case. `function` takes the operands and arguments by their names and returns one
    result or a tuple. slack, roundings, more_on_cuda and compare ("close", "relative" or "exact")
    choose the bounds, see golden_case.h; dtypes are those in which all operands exist and make
    sense."""
    name = f"{op}.{sum(c['op'] == op for c in cases)}"
    rng = random.Random(name)
    inputs = {key: operand.draw(rng) for key, operand in operands.items()}
    for key, value in inputs.items():
        check_drawn(f"{name} {key}", value, dtypes)
    leaves = {key: value.clone().requires_grad_(operands[key].grad)
              for key, value in inputs.items()}
    results = function(**leaves, **arguments)
    results = results if isinstance(results, tuple) else (results,)
    smooth = [i for i, result in enumerate(results) if result.requires_grad]
    dy = [real(*results[i].shape).draw(rng).to(results[i].dtype) for i in smooth]
    wanted = [key for key, value in leaves.items() if value.requires_grad] if smooth else []
    gradients = torch.autograd.grad([results[i] for i in smooth], [leaves[key] for key in wanted],
                                    dy) if wanted else []
    drawn[name] = flat([*inputs.values(), *dy], torch.float32)
    computed[name] = flat([*results, *gradients], torch.float64)

    def described(value):
        return [list(value.shape)] + ([] if value.dtype == torch.float64 else [NAMES[value.dtype]])

    entry = {"name": name, "op": op, "args": arguments,
             "in": [[key, *described(value)] for key, value in inputs.items()],
             "out": [described(value) for value in results], "dy": smooth, "grad": wanted}
    if slack != 1:
        entry["slack"] = slack
    if roundings != 1:
        entry["roundings"] = roundings
    if more_on_cuda != 0:
        entry["more_on_cuda"] = more_on_cuda
    if compare != "close":
        entry["compare"] = compare
    if dtypes != ALL:
        entry["dtypes"] = dtypes
    cases.append(entry)


def write(stem):
    """Writes what has been added since the last call to `stem`.safetensors."""
    header = {"__metadata__": {"cases": json.dumps(cases, separators=(",", ":"))}}
    data = b""
    for part, dtype, numbers in (("computed", "F64", computed), ("drawn", "F32", drawn)):
        for name, value in numbers.items():
            raw = value.numpy().tobytes()
            header[f"{name}.{part}"] = {"dtype": dtype, "shape": list(value.shape),
                                        "data_offsets": [len(data), len(data) + len(raw)]}
            data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    (HERE / f"{stem}.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    print(f"{stem}: {len(cases)} cases, {8 + len(text) + len(data)} bytes")
    for kept in (cases, drawn, computed):
        kept.clear()

"""Ops of one operand, element by element: ops.h, activations.h."""

import torch
from torch.nn import functional as F

from golden import EXTREMES, EXTREMES_OF_F16, INF, NAN, WIDE, case, const, given, real, write

SHAPES = ((5, 13), (2, 1, 3), (1,), (), (0, 4))
UNARY = {
    "neg": (torch.neg, -4, 4),
    "exp": (torch.exp, -4, 4),
    "log": (torch.log, 0.25, 4),
    "sqrt": (torch.sqrt, 0.25, 4),
    "rsqrt": (torch.rsqrt, 0.25, 4),
    "reciprocal": (torch.reciprocal, 0.25, 4),
    "square": (torch.square, -4, 4),
    "abs": (torch.abs, -4, 4),
    "sin": (torch.sin, -8, 8),
    "cos": (torch.cos, -8, 8),
    "tanh": (torch.tanh, -4, 4),
    "sigmoid": (torch.sigmoid, -8, 8),
    "relu": (torch.relu, -4, 4),
    "silu": (F.silu, -8, 8),
    "mish": (F.mish, -8, 8),
}


def suitable(op, numbers):
    """Those of `numbers` for which torch has what IEEE arithmetic gives."""
    if op in ("sin", "cos"):  # an f32 that large says nothing about the angle
        return [v for v in numbers if not 1e5 < abs(v) < INF]
    if op == "gelu":  # the tanh form cubes x: no gradient in f32, in torch neither
        return [v for v in numbers if not 1e13 < abs(v) < INF]
    if op == "abs":  # the gradient at a NaN is NaN here and 0 in torch
        return [v for v in numbers if v == v]
    return numbers


for op, (function, low, high) in UNARY.items():
    for shape in SHAPES:
        case(op, lambda x, f=function: f(x), {"x": real(*shape, low=low, high=high)},
             slack=high if op in ("sin", "cos", "exp") else 1)
    exact = op in ("neg", "abs", "relu")
    if op == "abs":
        case(op, lambda x: torch.abs(x), {"x": const(given([NAN, 1.0]))}, compare="exact")
    for extremes, dtypes, compare in ((EXTREMES, WIDE, "relative"),
                                      (EXTREMES_OF_F16, ["f16"], "close")):
        case(op, lambda x, f=function: f(x), {"x": given(suitable(op, extremes))}, dtypes=dtypes,
             compare="exact" if exact else compare, slack=16)

for shape in SHAPES:
    x = {"x": real(*shape, low=-8, high=8)}
    case("gelu", lambda x, form: F.gelu(x), x, form="erf")
    # torch 1.13 and later take approximate="tanh".
    case("gelu", lambda x, form: F.gelu(x, approximate="tanh"), x, form="tanh")
    case("elu", lambda x, alpha: F.elu(x, alpha), x, alpha=0.75)
    case("softplus", lambda x, beta, threshold: F.softplus(x, beta, threshold), x, beta=2,
         threshold=3)
    case("leaky_relu", lambda x, slope: F.leaky_relu(x, slope), x, slope=0.25)
    case("clamp", lambda x, low, high: torch.clamp(x, low, high), x, low=-1.5, high=2.25)
for exponent in (2, 3, -1, 0.5, -0.5, 1.7, 1, 0):
    case("pow", lambda x, exponent: torch.pow(x, exponent), {"x": real(5, 13, low=0.25, high=2)},
         exponent=exponent, slack=4)
for exponent in (2, 3, -1):  # also of negative numbers
    case("pow", lambda x, exponent: torch.pow(x, exponent),
         {"x": given([-2.0, -1.5, -0.5, 0.75, 3.0])}, exponent=exponent, slack=4)
case("pow", lambda x, exponent: torch.pow(x, exponent), {"x": given([0.0, 1.0, INF, NAN])},
     exponent=2, dtypes=WIDE)
for exponent in (0.5, 3, -1, -0.5, 0):  # a power of a negative number may be none
    case("pow", lambda x, exponent: torch.pow(x, exponent),
         {"x": const(given([0.0, -0.0, -2.0, INF, -INF, NAN, 1e-40, 3e38]))}, exponent=exponent,
         dtypes=WIDE, compare="relative", slack=16)
for op, function in {"add": torch.add, "mul": torch.mul, "div": torch.div}.items():
    for shape in SHAPES:
        case(op, lambda x, value, f=function: f(x, value), {"x": real(*shape)}, value=-2.5)
    case(op, lambda x, value, f=function: f(x, value), {"x": given(EXTREMES)}, value=0.5,
         dtypes=WIDE, compare="exact")

for extremes, dtypes in ((EXTREMES, WIDE), (EXTREMES_OF_F16, ["f16"])):
    case("gelu", lambda x, form: F.gelu(x), {"x": given(extremes)}, form="erf", dtypes=dtypes,
         slack=16)
    case("gelu", lambda x, form: F.gelu(x, approximate="tanh"),
         {"x": given(suitable("gelu", extremes))}, form="tanh", dtypes=dtypes, slack=16)
# torch 1.13 takes 1 from exp(x), which has no digits left near 0; what the gradient at a NaN is
# depends on its version and on how long x is.
case("elu", lambda x, alpha: F.elu(x, alpha),
     {"x": given([v for v in EXTREMES if v != -1e-40 and v == v])}, alpha=1, dtypes=WIDE,
     compare="relative", slack=16)
case("elu", lambda x, alpha: F.elu(x, alpha), {"x": const(given([NAN, 1.0]))}, alpha=1)
case("softplus", lambda x, beta, threshold: F.softplus(x, beta, threshold), {"x": given(EXTREMES)},
     beta=1, threshold=20, dtypes=WIDE, compare="relative", slack=16)
case("leaky_relu", lambda x, slope: F.leaky_relu(x, slope), {"x": given(EXTREMES)}, slope=0.5,
     dtypes=WIDE, compare="exact")
# The gradient at a bound is 0, as clamp's in torch 2.15; in older versions only that of hardtanh.
case("clamp", lambda x, low, high: F.hardtanh(x, low, high),
     {"x": given([-1.0, 2.0, -1.5, 2.5, 0.0])}, low=-1, high=2)
case("clamp", lambda x, low, high: torch.clamp(x, low, high),
     {"x": const(given([INF, -INF, NAN, -1.0, 2.0, 1e-40]))}, low=-1, high=2, dtypes=WIDE,
     compare="exact")

for shape, dim in (((4, 6), -1), ((4, 6), 0), ((2, 8, 3), 1), ((0, 4), 1)):
    case("glu", lambda x, dim: F.glu(x, dim), {"x": real(*shape)}, dim=dim)
for shape in SHAPES:
    case("swiglu", lambda gate, x: F.silu(gate) * x,
         {"gate": real(*shape, low=-8, high=8), "x": real(*shape)})

for target, torch_type in (("f64", torch.float64), ("f32", torch.float32), ("bf16", torch.bfloat16),
                           ("f16", torch.float16), ("i64", torch.int64), ("i32", torch.int32),
                           ("bool", torch.bool)):
    case("to", lambda x, dtype, t=torch_type: x.to(t), {"x": real(5, 13)}, dtype=target,
         compare="exact")
case("to", lambda x, dtype: x.to(torch.float16), {"x": given(EXTREMES)}, dtype="f16", dtypes=WIDE,
     compare="exact")

write("ops_pointwise")

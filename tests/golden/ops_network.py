"""Softmax, normalisations and images, which are [batch, height, width, channels]: ops.h."""

import torch
from torch.nn import functional as F

from convolutions import CASES, functional, write_cases
from formulas import batch, fused, group, layer, rms
from golden import INF, NAN, WIDE, case, const, given, real, write

LARGE = given([[1e4, 0.0, -1e4], [88, 100, 88], [-INF, 0.0, 1.0], [-1e4, -1e4, -1e4],
               [3e38, -3e38, 1.0]])
for op, function in {"softmax": torch.softmax, "log_softmax": torch.log_softmax}.items():
    for shape, dim in (((3, 13), -1), ((3, 13), 0), ((2, 5, 3), 1), ((4, 1), 1), ((0, 4), 1),
                       ((2, 67), -1)):
        case(op, lambda x, dim, f=function: f(x, dim), {"x": real(*shape, low=-4, high=4)}, dim=dim,
             slack=4)
    case(op, lambda x, dim, f=function: f(x, dim), {"x": const(LARGE)}, dim=1, dtypes=WIDE, slack=4)
    case(op, lambda x, dim, f=function: f(x, dim),
         {"x": const(given([[NAN, 0.0, 1.0], [INF, 0.0, 1.0], [-INF, -INF, -INF]]))}, dim=1)


for shape in ((3, 13), (2, 3, 5), (4, 1), (7,), (0, 5)):
    x, gamma, beta = real(*shape), {"gamma": real(shape[-1])}, {"beta": real(shape[-1])}
    case("layer_norm", layer, {"x": x, **gamma, **beta}, eps=1e-3, slack=64)
    case("layer_norm", layer, {"x": x}, slack=64)
    case("rms_norm", rms, {"x": x, **gamma}, eps=1e-3, slack=64)
    case("rms_norm", rms, {"x": x}, slack=64)
    case("residual_layer_norm", lambda x, residual, gamma, beta, eps: (
        x + residual, layer(x + residual, gamma, beta, eps)),
         {"x": x, "residual": real(*shape), **gamma, **beta}, eps=1e-2, slack=256, roundings=4)
FAR = given([[1e4, 1e4 + 64, 1e4 + 128, 1e4], [3.0, 3.0, 3.0, 3.0], [1e18, -1e18, 1e18, 0.0],
             [1.0, NAN, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0]], grad=False)
case("layer_norm", layer, {"x": FAR}, dtypes=WIDE, slack=1e3)
case("rms_norm", rms, {"x": FAR}, dtypes=WIDE, slack=4)
for shape, groups in (((2, 5, 6), 3), ((2, 3, 2, 4), 1), ((3, 4), 2), ((2, 3, 4), 4)):
    channels = shape[-1]
    case("group_norm", group, {"x": real(*shape), "gamma": real(channels), "beta": real(channels)},
         groups=groups, eps=1e-3, slack=64)
    case("group_norm", group, {"x": real(*shape)}, groups=groups, eps=1e-3, slack=64)


write_cases(functional, lambda kind: kind, CASES)


def pooled(function):
    def pool(x, kernel, stride=(0, 0), padding=(0, 0)):
        stride = [s or k for s, k in zip(stride, kernel)]
        return function(x.permute(0, 3, 1, 2), kernel, stride, padding).permute(0, 2, 3, 1)

    return pool


for op, pool in {"max_pool2d": F.max_pool2d, "avg_pool2d": lambda x, k, s, p: F.avg_pool2d(
        x, k, s, p, count_include_pad=False)}.items():
    for shape, arguments in (((2, 4, 6, 3), {"kernel": [2, 2]}),
                             ((1, 7, 5, 2), {"kernel": [3, 2], "stride": [2, 1],
                                             "padding": [1, 1]}),
                             ((1, 3, 3, 1), {"kernel": [3, 3]}), ((2, 1, 1, 3), {"kernel": [1, 1]}),
                             ((0, 4, 4, 2), {"kernel": [2, 2]})):
        case(op, pooled(pool), {"x": real(*shape)}, slack=4, **arguments)
HOLES = given([[[[1.0], [NAN], [3.0], [-INF]], [[2.0], [0.0], [-INF], [-INF]],
                [[INF], [1.0], [2.0], [2.0]], [[0.0], [-INF], [2.0], [1.0]]]], grad=False)
for op, pool in {"max_pool2d": F.max_pool2d, "avg_pool2d": lambda x, k, s, p: F.avg_pool2d(
        x, k, s, p, count_include_pad=False)}.items():
    case(op, pooled(pool), {"x": HOLES}, kernel=[2, 2], compare="exact")
for shape, height, width in (((2, 5, 7, 3), 2, 3), ((1, 4, 4, 2), 1, 1), ((1, 3, 3, 1), 3, 3)):
    case("adaptive_avg_pool2d",
         lambda x, height, width: F.adaptive_avg_pool2d(x.permute(0, 3, 1, 2), (
             height, width)).permute(0, 2, 3, 1), {"x": real(*shape)}, height=height, width=width,
         slack=4)


for shape in ((7, 3), (2, 3, 4, 5), (2, 5, 1), (3, 17)):
    channels = shape[-1]
    x = {"x": real(*shape)}
    factors = {"gamma": real(channels), "beta": real(channels)}
    running = {"running_mean": real(channels, grad=False),
               "running_var": real(channels, low=0.25, high=2, grad=False)}
    for op, function in {"batch_norm": batch, "batch_norm_relu": fused}.items():
        case(op, function, {**x, **factors, **running}, momentum=0.25, eps=1e-3, slack=64)
        case(op, function, {**x, **factors, **running}, training=False, eps=1e-3, slack=64)
        case(op, function, {**x}, eps=1e-3, slack=64)
        case(op, function, {**x, **running}, training=False, eps=1e-3, slack=64)
    case("batch_norm_relu", fused, {**x, **factors, **running, "residual": real(*shape)}, eps=1e-3,
         slack=64)

# Channels without variance, with a mean that f32 must not lose, and with a NaN.
FLAT = given([[3.0, 1e4, 1.0], [3.0, 1e4 + 64, NAN], [3.0, 1e4 + 128, 2.0]], grad=False)
case("batch_norm", batch, {"x": FLAT}, dtypes=["f64", "f32", "bf16"], slack=1e3)

write("ops_network")

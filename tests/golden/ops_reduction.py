"""Reductions, statistics, order: ops.h, statistics.h and the sorts of indexing.h."""

import torch

from golden import INF, NAN, WIDE, case, const, given, ints, real, write

SHAPE = (3, 4, 5)


def over(x, dims):
    return tuple(range(x.dim())) if dims is None else tuple(dims)


def reduced(function):
    """function(x, dims, keep) with every dimension where none is named."""
    return lambda x, dims=None, keep=False: function(x, over(x, dims), keep)


SUMS = {"sum": lambda x, d, k: x.sum(d, keepdim=k) if d else x.sum(),
        "mean": lambda x, d, k: x.mean(d, keepdim=k) if d else x.mean()}
DIMS = ([0], [1], [-1], [0, 2], [1, -1], [0, 1, 2])
for op, function in SUMS.items():
    call = reduced(function)
    for shape in (SHAPE, (65,), (1,), (), (0, 4)):
        case(op, call, {"x": real(*shape)}, slack=8)
    for dims in DIMS:
        case(op, call, {"x": real(*SHAPE)}, dims=dims, slack=8)
        case(op, call, {"x": real(*SHAPE)}, dims=dims, keep=True, slack=8)
    case(op, call, {"x": real(3, 0)}, dims=[1])
    case(op, call, {"x": given([[1.0, INF, 2.0], [INF, -INF, 0.0], [NAN, 1.0, 2.0],
                                [3e38, 0.0, -3e38], [1e-40, 1e-40, 0.0]])}, dims=[1], dtypes=WIDE,
         compare="relative", slack=4)
    # The sum of the first two is beyond f32.
    case(op, call, {"x": given([[3e38, 3e38, -3e38]])}, dims=[1], dtypes=["f64", "f32"],
         compare="relative", slack=4)
case("sum", reduced(SUMS["sum"]), {"x": ints(3, 5, low=-9, high=9)}, dims=[1])

for op, torch_op in {"max": torch.max, "min": torch.min}.items():
    def call(x, dim=None, keep=False, f=torch_op):
        return f(x) if dim is None else f(x, dim, keepdim=keep)[0]

    for shape in ((3, 13), (65,), (1,), ()):
        case(op, call, {"x": real(*shape)})
    for dim in (0, 1, -1):
        case(op, call, {"x": real(*SHAPE)}, dim=dim)
        case(op, call, {"x": real(*SHAPE)}, dim=dim, keep=True)
    case(op, call, {"x": given([[1.0, INF, 2.0], [INF, -INF, 0.0], [NAN, 1.0, 2.0],
                                [3.0, 1.0, NAN], [-INF, -INF, -INF]])}, dim=1, dtypes=WIDE,
         compare="exact")
    case(op, call, {"x": ints(3, 5, low=-99, high=99)}, dim=0)
for op, torch_op in {"argmax": torch.argmax, "argmin": torch.argmin}.items():
    for dim in (0, 1, -1):
        case(op, lambda x, dim, f=torch_op: f(x, dim), {"x": real(*SHAPE)}, dim=dim)
    case(op, lambda x, dim, f=torch_op: f(x, dim),
         {"x": given([[1.0, 3.0, 3.0], [NAN, 5.0, NAN], [-INF, INF, INF]])}, dim=1)

for shape in ((3, 5), (1,), (), (0, 4)):
    case("prod", lambda x: x.prod(), {"x": real(*shape)}, slack=8)
for dim in (0, 1, -1):
    case("prod", lambda x, dim, keep: x.prod(dim, keepdim=keep), {"x": real(*SHAPE)}, dim=dim,
         keep=dim == 1, slack=32)
    case("cumsum", lambda x, dim: x.cumsum(dim), {"x": real(*SHAPE)}, dim=dim, slack=8)
case("prod", lambda x, dim, keep: x.prod(dim, keepdim=keep),
     {"x": given([[0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [1.0, 2.0, 4.0]])}, dim=1, keep=False)
case("prod", lambda x, dim, keep: x.prod(dim, keepdim=keep), {"x": ints(3, 4, low=-4, high=5)},
     dim=1, keep=False)
case("cumsum", lambda x, dim: x.cumsum(dim), {"x": real(0, 4)}, dim=0)
case("cumsum", lambda x, dim: x.cumsum(dim), {"x": ints(3, 4, low=-4, high=5)}, dim=1)
case("cumsum", lambda x, dim: x.cumsum(dim),
     {"x": const(given([1.0, INF, 2.0, -INF, 0.0]))}, dim=0, compare="exact")

for op, torch_op in {"var": torch.var, "std": torch.std}.items():
    def call(x, dims=None, correction=1, keep=False, f=torch_op):
        return f(x, over(x, dims), correction=correction, keepdim=keep)

    for shape in (SHAPE, (2,), (4, 1, 3)):
        case(op, call, {"x": real(*shape)}, slack=8)
    for dims in DIMS:
        for correction in (0, 1):
            case(op, call, {"x": real(*SHAPE)}, dims=dims, correction=correction, keep=True,
                 slack=8)
case("std", lambda x, dims, correction: torch.std(x, dims, correction=correction),
     {"x": given([[3.0, 3.0, 3.0], [1.0, 2.0, 3.0]])}, dims=[1], correction=0)
case("var", lambda x, dims, correction: torch.var(x, dims, correction=correction),
     {"x": given([[1e4, 1e4 + 64, 1e4], [1.0, NAN, 3.0]])}, dims=[1], correction=1, dtypes=WIDE,
     slack=64)
case("var", lambda x, dims, correction: torch.var(x, dims, correction=correction),
     {"x": const(given([[INF, 1.0, 2.0], [3e38, -3e38, 0.0]]))}, dims=[1], correction=1,
     dtypes=WIDE)

for p in (1, 2, 3, 2.5, 0.5, "inf", "-inf", 0):
    def call(x, p, dims=None, keep=False):
        return torch.linalg.vector_norm(x, float(p), over(x, dims), keep)

    positive = real(3, 13, low=0.25, high=2)  # no kinks for p < 1
    case("norm", call, {"x": positive if p == 0.5 else real(3, 13)} if p != 0 else
         {"x": const(real(3, 13))}, p=p, slack=32)
    for dims, keep in (([0], False), ([-1], True), ([0, 2], False)):
        operand = real(*SHAPE, low=0.25, high=2) if p == 0.5 else real(*SHAPE)
        case("norm", call, {"x": const(operand) if p == 0 else operand}, p=p, dims=dims, keep=keep,
             slack=32)
case("norm", lambda x, p: torch.linalg.vector_norm(x, p), {"x": given([0.0, 0.0])}, p=2)
case("norm", lambda x, p, dims: torch.linalg.vector_norm(x, p, dims),
     {"x": const(given([[INF, 1.0], [NAN, 1.0], [3.0, 4.0], [-INF, INF]]))}, p=2, dims=[1],
     compare="relative", slack=4)

for shape, target in (((3, 7), (7,)), ((3, 7), (3, 1)), ((2, 3, 4), (3, 1)), ((3, 7), ()),
                      ((3, 7), (3, 7)), ((0, 7), (7,))):
    case("sum_to", lambda x, shape: x.sum_to_size(shape) if shape else x.sum(), {"x": real(*shape)},
         shape=list(target), slack=8)

SORTABLE = given([[3.0, NAN, -1.0, 3.0, INF], [0.0, -0.0, -INF, 1e-40, -1e-40]])
for order in ("ascending", "descending"):
    def sort(x, dim, order):
        values, indices = torch.sort(x, dim=dim, descending=order == "descending", stable=True)
        return values, indices

    for shape, dim in ((SHAPE, 0), (SHAPE, 1), (SHAPE, -1), ((65,), 0), ((1, 4), 0), ((0, 3), 1)):
        case("sort", sort, {"x": real(*shape)}, dim=dim, order=order)
        case("argsort", lambda x, dim, order: sort(x, dim, order)[1], {"x": real(*shape)}, dim=dim,
             order=order)
        if 0 not in shape:
            case("topk", lambda x, k, dim, order: torch.topk(x, k, dim, order == "descending"),
                 {"x": real(*shape)}, k=(shape[dim] + 1) // 2, dim=dim, order=order)
    case("sort", sort, {"x": const(SORTABLE)}, dim=1, order=order, dtypes=WIDE, compare="exact")
    case("sort", sort, {"x": ints(3, 9, high=4)}, dim=1, order=order)

write("ops_reduction")

"""Views, joins, padding and elements by their number: ops.h, shaping.h, indexing.h."""

import torch
from torch.nn import functional as F

from golden import bools, case, given, ints, real, write

for shape, target in (((3, 4), (2, 6)), ((3, 4), (-1,)), ((3, 4), (3, 2, 2)), ((), (1, 1)),
                      ((0, 4), (2, 0))):
    case("reshape", lambda x, shape: x.reshape(shape), {"x": real(*shape)}, shape=list(target))
for shape, dim0, dim1 in (((3, 4), 0, 1), ((2, 3, 4), 0, -1), ((2, 3, 4), 1, 1), ((0, 4), 0, 1)):
    case("transpose", lambda x, dim0, dim1: x.transpose(dim0, dim1), {"x": real(*shape)}, dim0=dim0,
         dim1=dim1)
for order in ((2, 0, 1), (0, 1, 2), (1, 2, 0)):
    case("permute", lambda x, order: x.permute(order), {"x": real(2, 3, 5)}, order=list(order))
for dim, begin, end in ((0, 1, 3), (1, 0, 7), (-1, 3, 4), (1, 2, 2)):
    case("slice", lambda x, dim, begin, end: x.narrow(dim, begin, end - begin), {"x": real(3, 7)},
         dim=dim, begin=begin, end=end)
for shape, target in (((3, 1), (3, 4)), ((4,), (2, 3, 4)), ((), (2, 2)), ((2, 1, 3), (-1, 5, -1)),
                      ((1, 0), (3, 0))):
    case("expand", lambda x, shape: x.expand(shape), {"x": real(*shape)}, shape=list(target),
         slack=4)
case("squeeze", lambda x, dim: x.squeeze(dim), {"x": real(3, 1, 4)}, dim=1)
case("squeeze", lambda x, dim: x.squeeze(dim), {"x": real(1)}, dim=-1)
case("unsqueeze", lambda x, dim: x.unsqueeze(dim), {"x": real(3, 4)}, dim=1)
case("unsqueeze", lambda x, dim: x.unsqueeze(dim), {"x": real()}, dim=0)
case("unsqueeze", lambda x, dim: x.unsqueeze(dim), {"x": real(3, 4)}, dim=-1)
case("contiguous", lambda x: x.contiguous(), {"x": real(3, 4)})
case("contiguous", lambda x: x.contiguous(), {"x": bools(0, 4)})


def parts(*shapes):
    return {f"p{i}": real(*shape) for i, shape in enumerate(shapes)}


for shapes, dim in ((((3, 4), (2, 4)), 0), (((3, 4), (3, 1), (3, 2)), 1), (((3, 4),), -1),
                    (((2, 3, 4), (2, 0, 4), (2, 1, 4)), 1)):
    case("concat", lambda dim, **p: torch.cat(list(p.values()), dim), parts(*shapes), dim=dim)
case("concat", lambda dim, **p: torch.cat(list(p.values()), dim),
     {"p0": ints(2, 3, high=9), "p1": ints(2, 1, high=9)}, dim=1)
for dim in (0, 1, -1):
    case("stack", lambda dim, **p: torch.stack(list(p.values()), dim), parts((3, 4), (3, 4)),
         dim=dim)
for dims in ([0], [1], [0, -1], []):
    case("flip", lambda x, dims: x.flip(dims), {"x": real(3, 4, 5)}, dims=dims)
for padding in ([1, 2], [0, 1, 2, 0], [-1, 0], [1, -2, -1, 3], [1, 1, 0, 0, 2, 0]):
    case("pad", lambda x, padding, value: F.pad(x, padding, value=value), {"x": real(3, 4, 5)},
         padding=padding, value=-1.5)
case("pad", lambda x, padding, value: F.pad(x, padding, value=value), {"x": real(0, 2)},
     padding=[0, 0, 1, 0], value=0.5)
for repeats in ([2, 3], [1, 1], [2, 1, 3], [0, 2]):
    case("repeat", lambda x, repeats: x.repeat(repeats), {"x": real(2, 3)}, repeats=repeats,
         slack=4)
for size, dim in ((2, 0), (3, 1), (7, -1)):
    case("split", lambda x, size, dim: x.split(size, dim), {"x": real(3, 7)}, size=size, dim=dim)
case("split", lambda x, sizes, dim: x.split(sizes, dim), {"x": real(3, 7)}, sizes=[1, 4, 2], dim=1)
for count, dim in ((2, 1), (3, 0), (5, 1)):
    case("chunk", lambda x, count, dim: x.chunk(count, dim), {"x": real(3, 7)}, count=count,
         dim=dim)
for op, function in {"tril": torch.tril, "triu": torch.triu}.items():
    for shape, diagonal in (((4, 4), 0), ((3, 5), 1), ((5, 3), -2), ((2, 3, 4), 9), ((0, 3), 0)):
        case(op, lambda x, diagonal, f=function: f(x, diagonal), {"x": real(*shape)},
             diagonal=diagonal)

for dim, count in ((0, 4), (1, 2), (-1, 9), (1, 0)):
    case("index_select", lambda x, dim, index: x.index_select(dim, index),
         {"x": real(3, 4, 5), "index": ints(count, high=3)}, dim=dim, slack=4)
for dim, shape in ((0, (6, 4)), (1, (3, 2)), (-1, (2, 7)), (0, (0, 4))):
    case("gather", lambda x, dim, index: x.gather(dim, index),
         {"x": real(3, 4), "index": ints(*shape, high=3)}, dim=dim, slack=4)
for dim, index, src in ((0, (6, 4), (6, 4)), (1, (2, 5), (3, 5)), (0, (1, 1), (2, 2)),
                        (1, (0, 2), (3, 2))):
    case("scatter_add", lambda x, dim, index, src: x.scatter_add(dim, index, src),
         {"x": real(3, 4), "index": ints(*index, high=3), "src": real(*src, grad=src == index)},
         dim=dim, slack=4, roundings=2)
case("scatter_add", lambda x, dim, index, src: x.scatter_add(dim, index, src),
     {"x": ints(4, high=9), "index": ints(9, high=4), "src": ints(9, high=9)}, dim=0)
for shape, classes in (((5,), 4), ((2, 3), 7), ((), 2), ((0,), 3)):
    case("one_hot", lambda ids, classes: F.one_hot(ids, classes), {"ids": ints(*shape)},
         classes=classes)
case("one_hot", lambda ids, classes: F.one_hot(ids, classes), {"ids": given([0, 3, 1])}, classes=-1)
for ids in ((4,), (2, 5), (), (0, 2)):
    case("embedding", lambda weight, ids: F.embedding(ids, weight),
         {"weight": real(6, 5), "ids": ints(*ids, high=6)}, slack=4)

write("ops_shaping")

"""Ops of several operands that broadcast, comparisons, logic, choice, and those in place."""

import torch

from golden import EXTREMES, EXTREMES_OF_F16, WIDE, bools, case, const, given, ints, real, write

SHAPES = (((5, 13), (5, 13)), ((3, 7), (7,)), ((3, 7), (3, 1)), ((), (3, 7)), ((5, 1), (4,)),
          ((2, 1, 3), (4, 1)), ((1,), (1, 1)), ((0, 7), (7,)), ((2, 3, 1, 5), (3, 4, 1)))
ARITHMETIC = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div,
              "maximum": torch.maximum, "minimum": torch.minimum}
COMPARISONS = {"equal": torch.eq, "not_equal": torch.ne, "greater": torch.gt,
               "greater_equal": torch.ge, "less": torch.lt, "less_equal": torch.le}
LOGIC = {"logical_and": torch.logical_and, "logical_or": torch.logical_or,
         "logical_xor": torch.logical_xor}
#: Every extreme number against every other one.
COLUMN, ROW = given([[v] for v in EXTREMES]), given(EXTREMES)
COLUMN_OF_F16, ROW_OF_F16 = given([[v] for v in EXTREMES_OF_F16]), given(EXTREMES_OF_F16)

for op, function in ARITHMETIC.items():
    def call(a, b, f=function):
        return f(a, b)

    for left, right in SHAPES:
        divisor = real(*right, low=0.5, high=4) if op == "div" else real(*right)
        case(op, call, {"a": real(*left), "b": divisor}, slack=4 if op == "div" else 1)
    case(op, call, {"a": const(COLUMN), "b": const(ROW)}, dtypes=WIDE, compare="exact")
    case(op, call, {"a": const(COLUMN_OF_F16), "b": const(ROW_OF_F16)}, dtypes=["f16"],
         compare="exact")
    if op != "div":
        case(op, call, {"a": ints(5, 13, low=-9, high=9), "b": ints(13, low=-9, high=9)})
for op in ("maximum", "minimum"):  # ties share the gradient
    case(op, lambda a, b, f=ARITHMETIC[op]: f(a, b),
         {"a": given([1.0, 2.0, 0.0, -1.0]), "b": given([1.0, 0.5, -0.0, -1.0])})

for op, function in COMPARISONS.items():
    def call(a, b, f=function):
        return f(a, b)

    for left, right in SHAPES:
        case(op, call, {"a": real(*left, low=-0.125, high=0.125), "b": real(*right, low=-0.125,
                                                                            high=0.125)})
    case(op, call, {"a": COLUMN, "b": ROW}, dtypes=WIDE)
    case(op, call, {"a": ints(5, 13, high=3), "b": ints(13, high=3)})
    case(op, lambda x, value, f=function: f(x, value), {"x": real(5, 13, low=-0.0625, high=0.0625)},
         value=0.03125)
    case(op, lambda x, value, f=function: f(x, value), {"x": ints(5, 13, high=3)}, value=1)

for op, function in LOGIC.items():
    for left, right in SHAPES:
        case(op, lambda a, b, f=function: f(a, b), {"a": bools(*left), "b": bools(*right)})
for shape in ((5, 13), (), (0, 4)):
    case("logical_not", lambda x: torch.logical_not(x), {"x": bools(*shape)})

for shapes in (((5, 13), (5, 13), (5, 13)), ((3, 1), (7,), ()), ((2, 1, 1), (3, 1), (5,)),
               ((0, 4), (1, 4), (4,))):
    case("where", lambda condition, a, b: torch.where(condition, a, b),
         {"condition": bools(*shapes[0]), "a": real(*shapes[1]), "b": real(*shapes[2])})
case("where", lambda condition, a, b: torch.where(condition, a, b),
     {"condition": bools(16), "a": given(EXTREMES), "b": given(EXTREMES[::-1])}, dtypes=WIDE,
     compare="exact")
for shape, mask in (((3, 7), (3, 7)), ((3, 7), (7,)), ((3, 7), (3, 1)), ((4,), (2, 4)), ((0, 4),
                                                                                       (4,))):
    case("masked_fill", lambda x, mask, value: x.expand(torch.broadcast_shapes(
        x.shape, mask.shape)).masked_fill(mask, value),
         {"x": real(*shape), "mask": bools(*mask)}, value=-0.75)

for y, x in (((5, 13), (5, 13)), ((3, 7), (7,)), ((3, 7), ()), ((0, 4), (4,))):
    case("add_inplace", lambda y, x, alpha: y + alpha * x,
         {"y": const(real(*y)), "x": const(real(*x))}, alpha=-1.5)
    case("mul_inplace", lambda y, value: y * value, {"y": const(real(*y))}, value=-1.5)

write("ops_binary")

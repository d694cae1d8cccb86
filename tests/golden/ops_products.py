"""Products of matrices and what is made of them: ops.h, products.h."""

import torch
from torch.nn import functional as F

from formulas import attention, packed
from golden import INF, NAN, case, const, given, real, write

for left, right in (((3, 5), (5, 4)), ((1, 1), (1, 1)), ((17, 9), (9, 13)), ((2, 3, 5), (5, 4)),
                    ((2, 3, 5), (2, 5, 4)), ((2, 1, 3, 5), (4, 5, 2)), ((3, 0), (0, 4)),
                    ((0, 5), (5, 4)), ((4, 5), (2, 5, 1))):
    case("matmul", lambda a, b: a @ b, {"a": real(*left), "b": real(*right)}, slack=16)
case("matmul", lambda a, b: a @ b, {"a": const(given([[1.0, INF], [NAN, 1.0], [0.0, 2.0]])),
                                    "b": const(given([[1.0, 2.0], [3.0, -INF]]))})
for shape in ((3, 5), (2, 3, 5), (5,), (0, 5)):
    weight = {"weight": real(5, 4)}
    case("linear", lambda x, weight, bias: F.linear(x, weight.t(), bias),
         {"x": real(*shape), **weight, "bias": real(4)}, more_on_cuda=1, slack=16)
    case("linear", lambda x, weight: F.linear(x, weight.t()), {"x": real(*shape), **weight},
         slack=16)
for batch in (1, 3, 0):
    case("bmm", lambda a, b: torch.bmm(a, b), {"a": real(batch, 3, 5), "b": real(batch, 5, 2)},
         slack=16)
for shape, beta, alpha in (((3, 4), 1, 1), ((4,), 0.5, -1.5), ((3, 1), 2, 1), ((), -1, 0.25)):
    case("addmm", lambda x, a, b, beta, alpha: torch.addmm(x, a, b, beta=beta, alpha=alpha),
         {"x": real(*shape), "a": real(3, 5), "b": real(5, 4)}, beta=beta, alpha=alpha,
         slack=16, roundings=4)
for equation, shapes in (("bik,bkj->bij", ((2, 3, 4), (2, 4, 5))), ("ij,kj->ik", ((3, 4), (2, 4))),
                         ("ii->i", ((4, 4),)), ("ij->ji", ((3, 4),)), ("ij->", ((3, 4),)),
                         ("i,j->ij", ((3,), (4,))), ("bhqd,bhkd->bhqk", ((2, 2, 3, 4),
                                                                        (2, 2, 5, 4))),
                         ("...ij,...jk->...ik", ((2, 3, 4), (4, 5))),
                         ("ij,jk,kl->il", ((2, 3), (3, 4), (4, 2))), ("ij,ij", ((3, 4), (3, 4))),
                         ("bi,oij,bj->bo", ((2, 3), (4, 3, 5), (2, 5)))):
    case("einsum", lambda equation, **p: torch.einsum(equation, *p.values()),
         {f"p{i}": real(*shape) for i, shape in enumerate(shapes)}, equation=equation,
         slack=64, roundings=4)
for shape in ((3, 5), (2, 3, 5), (0, 5)):
    case("feed_forward",
         lambda x, weight1, bias1, weight2, bias2: F.linear(F.gelu(
             F.linear(x, weight1.t(), bias1), approximate="tanh"), weight2.t(), bias2),
         {"x": real(*shape), "weight1": real(5, 7, low=-0.5, high=0.5), "bias1": real(7),
          "weight2": real(7, 4, low=-0.5, high=0.5), "bias2": real(4)}, slack=32, roundings=4)

for queries, keys, width in ((5, 5, 4), (3, 7, 8), (1, 6, 3), (1, 1, 1)):
    q, kv = real(2, 2, queries, width), real(2, 2, keys, width)
    operands = {"q": q, "k": kv, "v": kv}
    case("scaled_dot_product_attention", attention, operands, slack=16, more_on_cuda=1)
    case("scaled_dot_product_attention", attention, operands, causal=True, slack=16, more_on_cuda=1)
    case("scaled_dot_product_attention", attention, operands, scale=0.25, causal=True,
         slack=16, more_on_cuda=1)
    case("scaled_dot_product_attention", attention,
         {**operands, "mask": real(2, 1, queries, keys, grad=False)}, slack=16, more_on_cuda=1)
SEEN = [[True, False, True, True], [False, True, False, False], [True] * 4]
case("scaled_dot_product_attention", attention,
     {"q": real(2, 2, 3, 4), "k": real(2, 2, 4, 4), "v": real(2, 2, 4, 4), "mask": given(SEEN)},
     slack=16, more_on_cuda=1)
# Scores of some thousands: all the weight lies on one key.
case("scaled_dot_product_attention", attention,
     {"q": real(1, 2, 3, 4, low=-64, high=64), "k": real(1, 2, 5, 4, low=-64, high=64),
      "v": real(1, 2, 5, 4)}, dtypes=["f64", "f32"], slack=512)
for causal in (False, True):
    case("scaled_dot_product_attention_qkv", packed, {"qkv": real(2, 5, 24)}, heads=2,
         causal=causal, slack=16, more_on_cuda=1)

write("ops_products")

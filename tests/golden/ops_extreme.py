"""NaN and infinity in an operand of ops that sum, multiply or normalise: where they go, also in
gradients. Those of pointwise ops, softmax and pooling stand in the files of these ops."""

import torch
from torch.nn import functional as F

from convolutions import functional
from formulas import attention, batch, fused, group, layer, packed, rms, rotary
from golden import ALL, INF, NAN, WIDE, Operand, case, const, given, ints, real, write
from recurrent import KINDS, layer_operands, one_layer

SPIKES = (((7, NAN),), ((7, INF),), ((7, -INF), (14, NAN)), ((3, INF), (4, -INF)))


def spiked(operand, spikes):
    """The same numbers, but for those at these places of the flat operand."""
    def draw(rng):
        value = operand.draw(rng)
        for place, number in spikes:
            value.view(-1)[place] = number
        return value

    return Operand(draw, operand.grad)


def constants(operands):
    return {name: const(operand) for name, operand in operands.items()}


def product(x, weight, bias):
    return F.linear(x, weight.t(), bias)


def feed_forward(x, weight1, bias1, weight2, bias2):
    return product(F.gelu(product(x, weight1, bias1), approximate="tanh"), weight2, bias2)


def residual_layer_norm(x, residual, gamma, beta, eps):
    return x + residual, layer(x + residual, gamma, beta, eps)


def residual_rms_norm(x, residual, gamma, eps):
    return x + residual, rms(x + residual, gamma, eps)


# Not in bf16: CPU kernels pad an odd number of channels with numbers of the next pixel, times 0.
FILTERED = (("conv2d", (2, 5, 6, 3), (4, 3, 3, 3), {}), ("conv2d", (2, 8, 8, 4), (4, 3, 3, 4), {}),
            ("conv2d", (1, 4, 4, 3), (6, 1, 1, 3), {}),
            ("conv2d", (2, 6, 6, 4), (4, 3, 3, 2), {"groups": 2}),
            ("conv_transpose2d", (2, 3, 4, 3), (3, 3, 2, 4), {}),
            ("conv1d", (2, 7, 3), (4, 3, 3), {}), ("conv_transpose1d", (3, 5, 3), (3, 3, 4), {}))
for spikes in SPIKES:
    def x(*shape, at=spikes):
        return {"x": spiked(real(*shape), at)}

    for op, image, weight, options in FILTERED:
        case(op, functional(op), {**x(*image), "weight": real(*weight, low=-0.5, high=0.5)},
             slack=32, dtypes=["f64", "f32", "f16"], **options)
    # --- products
    case("linear", product, {**x(9, 5), "weight": real(5, 4), "bias": real(4)}, slack=32)
    case("matmul", lambda a, b: a @ b, {"a": spiked(real(17, 24), spikes), "b": real(24, 21)},
         slack=64)
    case("bmm", lambda a, b: torch.bmm(a, b),
         {"a": spiked(real(3, 3, 5), spikes), "b": real(3, 5, 2)}, slack=32)
    case("addmm", lambda x, a, b, beta, alpha: torch.addmm(x, a, b, beta=beta, alpha=alpha),
         {"x": real(9, 4), "a": spiked(real(9, 5), spikes), "b": real(5, 4)}, beta=0.5, alpha=-1.5,
         slack=16, roundings=4)
    case("einsum", lambda equation, **p: torch.einsum(equation, *p.values()),
         {"p0": spiked(real(9, 5), spikes), "p1": real(4, 5)}, equation="ij,kj->ik", slack=16,
         roundings=4)
    case("feed_forward", feed_forward,
         {**x(9, 5), "weight1": real(5, 7, low=-0.5, high=0.5), "bias1": real(7),
          "weight2": real(7, 4, low=-0.5, high=0.5), "bias2": real(4)}, slack=32, roundings=4)
    # --- norms
    factors = {"gamma": real(13), "beta": real(13)}
    case("layer_norm", layer, {**x(9, 13), **factors}, eps=1e-3, slack=64)
    case("rms_norm", rms, {**x(9, 13), "gamma": real(13)}, eps=1e-3, slack=64)
    case("residual_layer_norm", residual_layer_norm,
         {**x(9, 13), "residual": real(9, 13), **factors}, eps=1e-2, slack=256, roundings=4)
    case("residual_rms_norm", residual_rms_norm,
         {**x(9, 13), "residual": real(9, 13), "gamma": real(13)}, eps=1e-2, slack=256, roundings=4)
    case("group_norm", group, {**x(2, 5, 6), "gamma": real(6), "beta": real(6)}, groups=3, eps=1e-3,
         slack=64)
    factors = {"gamma": real(5), "beta": real(5)}
    case("batch_norm", batch, {**x(2, 3, 4, 5), **factors}, eps=1e-3, slack=64)
    case("batch_norm_relu", fused, {**x(2, 3, 4, 5), **factors}, eps=1e-3, slack=64)
    # --- recurrent layers
    for kind, (_, gates) in KINDS.items():
        operands = layer_operands(gates, 3, 4, 4, 5)
        case(kind, lambda k=kind, **p: one_layer(k, **p),
             {**operands, "x": spiked(operands["x"], spikes)}, slack=64, roundings=8)
    # --- gates and rotations
    case("glu", lambda x, dim: F.glu(x, dim), x(9, 6), dim=-1)
    for gate, value in ((real(9, 6), spiked(real(9, 6), spikes)),
                        (spiked(real(9, 6), spikes), real(9, 6))):
        case("swiglu", lambda gate, x: F.silu(gate) * x, {"gate": gate, "x": value})
    case("rotary_embedding", rotary, x(2, 3, 4, 6), slack=4)
    # --- reductions and order
    case("adaptive_avg_pool2d", lambda x, height, width: F.adaptive_avg_pool2d(
        x.permute(0, 3, 1, 2), (height, width)).permute(0, 2, 3, 1), x(2, 5, 7, 3), height=2,
         width=3, slack=4)
    # torch divides the product by each factor, so that its gradient at a NaN is a NaN.
    case("prod", lambda x, dim, keep: x.prod(dim, keepdim=keep), constants(x(9, 5)), dim=1,
         keep=False, slack=32)
    case("std", lambda x, dims, correction: torch.std(x, dims, correction=correction), x(9, 5),
         dims=[1], correction=1, slack=64)
    case("cumsum", lambda x, dim: x.cumsum(dim), x(9, 5), dim=1, slack=8)
    case("topk", lambda x, k, dim, order: torch.topk(x, k, dim, order == "descending"), x(9, 6),
         k=3, dim=-1, order="descending")
    case("scatter_add", lambda x, dim, index, src: x.scatter_add(dim, index, src),
         {**x(9, 5), "index": ints(9, 5, high=5), "src": spiked(real(9, 5), spikes)}, dim=1,
         slack=4, roundings=2)
    # --- losses; a NaN has a gradient of NaN here, in torch one of 0 where the loss is a sign
    pair = {**x(9, 5), "targets": real(9, 5)}
    case("mse_loss", lambda x, targets, reduction: F.mse_loss(x, targets, reduction=reduction),
         pair, reduction="none", roundings=4)
    for op, function, options in (("l1_loss", F.l1_loss, {}),
                                  ("smooth_l1_loss", F.smooth_l1_loss, {"beta": 1}),
                                  ("huber_loss", F.huber_loss, {"delta": 1})):
        case(op, lambda x, targets, f=function, **options: f(x, targets, **options),
             constants(pair), reduction="none", roundings=4, **options)
    case("nll_loss", lambda log_p, targets, reduction: F.nll_loss(
        log_p, targets, reduction=reduction),
         {"log_p": spiked(real(9, 5), spikes), "targets": given([0, 2, 1, 1, 1, 1, 1, 1, 0])},
         reduction="none", slack=8)

# torch has a NaN where a logit of -INF has a target above 0; here that is a loss of INF.
LARGE = ((1e4, 1.0), (-1e4, 0.0), (88.0, 1.0), (-88.0, 0.0), (3e38, 1.0), (-3e38, 0.0))
INFINITE = ((INF, 0.0), (INF, 0.5), (INF, 1.0), (-INF, 0.0), (NAN, 0.5), (-9.0, 1.0))
for pairs, dtypes in ((LARGE, WIDE), (INFINITE, ALL)):
    logits, targets = zip(*pairs)
    case("binary_cross_entropy_with_logits", lambda x, targets, reduction:
         F.binary_cross_entropy_with_logits(x, targets, reduction=reduction),
         {"x": given(logits), "targets": given(targets, grad=False)}, reduction="none", slack=4,
         dtypes=dtypes)
case("kl_div", lambda x, targets, form, reduction: F.kl_div(x, targets, reduction=reduction),
     {"x": given([NAN, -1.0, -INF, -3.0]), "targets": given([0.5, 0.5, 0.5, 0.0], grad=False)},
     form="probability", reduction="none")

# --- attention: on CPUs bf16 weights are split into two parts, times which an infinity is a NaN
qkv = {"q": real(2, 2, 5, 4), "k": real(2, 2, 7, 4), "v": real(2, 2, 7, 4)}
for name in qkv:
    case("scaled_dot_product_attention", attention, {**qkv, name: spiked(qkv[name], ((5, NAN),))},
         slack=16, more_on_cuda=1)
case("scaled_dot_product_attention", attention, {**qkv, "v": spiked(qkv["v"], ((5, INF),))},
     slack=16, dtypes=["f64", "f32"])
for place in (5, 13, 21):  # in a query, a key, a value
    case("scaled_dot_product_attention_qkv", packed,
         {"qkv": spiked(real(2, 5, 24), ((place, NAN),))}, heads=2, slack=16, more_on_cuda=1)

write("ops_extreme")

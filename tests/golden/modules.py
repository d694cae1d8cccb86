"""Layers of recurrent networks, and modules (core/nn), with torch.nn's as oracle.

Parameters are operands in Trireme's layout and under its names; the functions turn them into
torch's.
"""

import torch
from torch import nn
from torch.nn.utils.stateless import functional_call

from formulas import packed, rms
from convolutions import first, write_cases
from golden import case, given, ints, real, write
from recurrent import KINDS, layer_operands, one_layer, walk


def call(module, parameters, *inputs):
    module.double()
    assert parameters.keys() == dict(module.named_parameters()).keys(), parameters.keys()
    return functional_call(module, parameters, inputs)


# --- recurrent layers -----------------------------------------------------------------------------

for kind, (_, gates) in KINDS.items():
    def layer(k=kind, **operands):
        return one_layer(k, **operands)

    states = {"h0": real(3, 5)} | ({"c0": real(3, 5)} if kind == "lstm" else {})
    lengths = {"lengths": given([2, 4, 1])}
    full = layer_operands(gates, 3, 4, 2, 5)
    for arguments in ({}, {"backward": True}):
        case(kind, layer, full, slack=64, roundings=8, **arguments)
        case(kind, layer, {**full, **states}, slack=64, roundings=8, **arguments)
        case(kind, layer, {**full, **states, **lengths}, slack=64, roundings=8, **arguments)
    case(kind, layer, layer_operands(gates, 3, 4, 2, 5, bias=False), slack=64, roundings=8)
    case(kind, layer, layer_operands(gates, 1, 1, 1, 1), slack=64, roundings=8)
    if kind == "rnn":
        case(kind, layer, {**full, **states}, nonlinearity="relu", slack=64, roundings=8)

# --- modules --------------------------------------------------------------------------------------


def linear(x, weight, bias=None):
    parameters = {"weight": weight.t()} | ({} if bias is None else {"bias": bias})
    return call(nn.Linear(*weight.shape, bias=bias is not None), parameters, x)


for shape in ((3, 5), (2, 3, 5)):
    case("Linear", linear, {"x": real(*shape), "weight": real(5, 4)}, slack=16)
    case("Linear", linear, {"x": real(*shape), "weight": real(5, 4), "bias": real(4)}, slack=16,
         more_on_cuda=1)
case("Embedding", lambda ids, weight: call(nn.Embedding(*weight.shape), {"weight": weight}, ids),
     {"ids": ints(2, 5, high=6), "weight": real(6, 3)}, slack=4)
factors = {"weight": real(6), "bias": real(6)}
case("LayerNorm", lambda x, weight, bias, eps: call(nn.LayerNorm(6, eps), {
    "weight": weight, "bias": bias}, x), {"x": real(2, 3, 6), **factors}, eps=1e-3, slack=64)
case("RMSNorm", lambda x, weight, eps: rms(x, weight, eps),
     {"x": real(2, 3, 6), "weight": real(6)}, eps=1e-3, slack=64)
for groups in (1, 3):
    case("GroupNorm", lambda x, weight, bias, groups, eps: call(nn.GroupNorm(groups, 6, eps), {
        "weight": weight, "bias": bias}, x.movedim(-1, 1)).movedim(1, -1),
         {"x": real(2, 4, 3, 6), **factors}, groups=groups, eps=1e-3, slack=64)


def batch_norm(x, weight, bias, running_mean, running_var, training, momentum, eps):
    net = nn.BatchNorm2d(6, eps, momentum).double().train(training)
    state = {"weight": weight, "bias": bias, "running_mean": running_mean.clone(),
             "running_var": running_var.clone(), "num_batches_tracked": torch.tensor(0)}
    y = functional_call(net, state, (x.movedim(-1, 1),)).movedim(1, -1)
    return y, state["running_mean"], state["running_var"]


for training in (True, False):
    case("BatchNorm", batch_norm,
         {"x": real(2, 3, 4, 6), **factors, "running_mean": real(6, grad=False),
          "running_var": real(6, low=0.25, high=2, grad=False)}, training=training, momentum=0.25,
         eps=1e-3, slack=64)


def conv(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    out, height, width, per_group = weight.shape
    net = nn.Conv2d(per_group * groups, out, (height, width), stride, padding, dilation, groups,
                    bias is not None)
    parameters = {"weight": weight.permute(0, 3, 1, 2).contiguous()}
    parameters |= {} if bias is None else {"bias": bias}
    return call(net, parameters,
                x.permute(0, 3, 1, 2).contiguous()).permute(0, 2, 3, 1).contiguous()


for arguments in ({}, {"stride": [2, 1], "padding": [1, 2]}, {"groups": 2}):
    operands = {"x": real(2, 5, 6, 4), "weight": real(6, 3, 2, 4 // arguments.get("groups", 1))}
    case("Conv2d", conv, operands, slack=32, **arguments)
    case("Conv2d", conv, {**operands, "bias": real(6)}, slack=32, **arguments)


def conv_module(kind):
    def layer(x, weight, bias=None, **options):
        transposed, groups = "Transpose" in kind, options.get("groups", 1)
        inputs, outputs = weight.shape[0], weight.shape[-1] * groups
        if not transposed:
            inputs, outputs = outputs, inputs
        net = getattr(nn, kind)(inputs, outputs, tuple(weight.shape[1:-1]), bias=bias is not None,
                                **options)
        parameters = {"weight": first(weight)} | ({} if bias is None else {"bias": bias})
        return call(net, parameters, first(x)).movedim(1, -1).contiguous()

    return layer


NAMES = {"conv1d": "Conv1d", "conv_transpose1d": "ConvTranspose1d",
         "conv_transpose2d": "ConvTranspose2d"}
write_cases(lambda kind: conv_module(NAMES[kind]), NAMES.get, NAMES)


def recurrent(kind, x, layers, both, hidden, lengths=None, h0=None, c0=None, nonlinearity=None,
              **weights):
    options = {"nonlinearity": nonlinearity} if nonlinearity else {}
    net = KINDS[kind][0](x.shape[-1], hidden, layers, bias="bias_ih_l0" in weights,
                         batch_first=True, bidirectional=both, **options)
    parameters = {key: value.t() if value.dim() == 2 else value for key, value in weights.items()}
    return walk(net, parameters, x, [state for state in (h0, c0) if state is not None], lengths)


def recurrent_operands(gates, layers, both, width, hidden, bias):
    operands = {"x": real(3, 4, width)}
    directions = ("", "_reverse") if both else ("",)
    for i in range(layers):
        for end in directions:
            rows = width if i == 0 else hidden * len(directions)
            operands |= {f"{key}_l{i}{end}": value
                         for key, value in layer_operands(gates, 1, 1, rows, hidden, bias).items()
                         if key != "x"}
    return operands


for name, kind in (("Lstm", "lstm"), ("Gru", "gru"), ("Rnn", "rnn")):
    for layers, both, bias, more in ((1, False, True, False), (2, True, True, True),
                                     (2, False, False, True)):
        operands = recurrent_operands(KINDS[kind][1], layers, both, 2, 3, bias)
        if more:
            operands["lengths"] = given([2, 4, 1])
            for state in ("h0", "c0") if kind == "lstm" else ("h0",):
                operands[state] = real(layers * (2 if both else 1), 3, 3)
        arguments = {"nonlinearity": "relu"} if kind == "rnn" and layers > 1 else {}
        case(name, lambda k=kind, **operands: recurrent(k, **operands), operands, layers=layers,
             both=both, hidden=3, slack=128, roundings=12, **arguments)


def weights_of(prefix, rows, columns):
    return {f"{prefix}.weight": real(rows, columns, low=-0.5, high=0.5),
            f"{prefix}.bias": real(columns)}


def self_attention(x, heads, **p):
    qkv = x @ p["c_attn.weight"] + p["c_attn.bias"]
    return packed(qkv, heads, causal=True) @ p["c_proj.weight"] + p["c_proj.bias"]


def feed_forward(x, **p):
    hidden = x @ p["c_fc.weight"] + p["c_fc.bias"]
    return nn.functional.gelu(hidden, approximate="tanh") @ p["c_proj.weight"] + p["c_proj.bias"]


case("CausalSelfAttention", self_attention,
     {"x": real(2, 5, 8), **weights_of("c_attn", 8, 24), **weights_of("c_proj", 8, 8)}, heads=2,
     slack=64, roundings=12)
case("FeedForward", feed_forward,
     {"x": real(2, 3, 4), **weights_of("c_fc", 4, 16), **weights_of("c_proj", 16, 4)}, slack=64,
     roundings=4)


def sequential(x, **p):
    net = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))
    return call(net, {key: value.t() if value.dim() == 2 else value for key, value in p.items()}, x)


case("Sequential", sequential, {"x": real(3, 5), **weights_of("0", 5, 7), **weights_of("2", 7, 3)},
     slack=64, roundings=4)

write("modules")

"""Recurrent layers by torch.nn's: x is [batch, time, in], weights are the transposes of theirs."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from golden import real

KINDS = {"lstm": (nn.LSTM, 4), "gru": (nn.GRU, 3), "rnn": (nn.RNN, 1)}


def walk(net, parameters, x, first, lengths):
    """Results, then the last states; time stays where it is, whatever the lengths."""
    operand = x if lengths is None else pack_padded_sequence(x, lengths, batch_first=True,
                                                             enforce_sorted=False)
    first = tuple(first) if len(first) == 2 else (first[0] if first else None)
    # A recurrent network of torch reads a list of its own, which functional_call does not reach.
    net.double()._flat_weights = [parameters[name] for name in net._flat_weights_names]
    y, last = net(operand, first)
    if lengths is not None:
        y = pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])[0]
    return (y, *last) if isinstance(last, tuple) else (y, last)


def one_layer(kind, x, weight_ih, weight_hh, bias_ih=None, bias_hh=None, h0=None, c0=None,
              lengths=None, backward=False, nonlinearity=None):
    if backward:  # the other direction of a layer in both, whose first one is of no account
        order = [list(range(n))[::-1] + list(range(n, x.shape[1]))
                 for n in (lengths.tolist() if lengths is not None else [x.shape[1]] * len(x))]
        rows = torch.arange(len(x))[:, None]
        results = one_layer(kind, x[rows, torch.tensor(order)], weight_ih, weight_hh, bias_ih,
                            bias_hh, h0, c0, lengths, nonlinearity=nonlinearity)
        return (results[0][rows, torch.tensor(order)], *results[1:])
    options = {"nonlinearity": nonlinearity} if nonlinearity else {}
    net = KINDS[kind][0](x.shape[-1], weight_hh.shape[0], bias=bias_ih is not None,
                         batch_first=True, **options)
    parameters = {"weight_ih_l0": weight_ih.t(), "weight_hh_l0": weight_hh.t()}
    if bias_ih is not None:
        parameters |= {"bias_ih_l0": bias_ih, "bias_hh_l0": bias_hh}
    first = [state[None] for state in (h0, c0) if state is not None]
    results = walk(net, parameters, x, first, lengths)
    return (results[0], *(state[0] for state in results[1:]))


def layer_operands(gates, batch, time, width, hidden, bias=True):
    small = {"low": -0.5, "high": 0.5}
    operands = {"x": real(batch, time, width), "weight_ih": real(width, gates * hidden, **small),
                "weight_hh": real(hidden, gates * hidden, **small)}
    if bias:
        operands |= {"bias_ih": real(gates * hidden, **small),
                     "bias_hh": real(gates * hidden, **small)}
    return operands

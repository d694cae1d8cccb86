#!/usr/bin/env python3
"""Writes recurrent.json: torch.nn.LSTM, GRU and RNN (made with torch 1.13) in f64: results, last
states, and the gradients of the input, the first states and every parameter.

Operands and parameters are waves, which the test makes again: element i is a sin(f i + p), where
parameter k has phase k. Weights are stored here transposed, as Trireme holds them. The loss is
sum(result * wave) over all results.
"""

import json
import pathlib

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

HERE = pathlib.Path(__file__).parent
BATCH, TIME, IN, HIDDEN = 3, 4, 2, 3


def wave(shape, frequency, phase, amplitude):
    count = 1
    for extent in shape:
        count *= extent
    i = torch.arange(count, dtype=torch.float64)
    return (amplitude * torch.sin(frequency * i + phase)).reshape(shape)


def run(kind, layers, both, lengths=None, **options):
    net = kind(IN, HIDDEN, num_layers=layers, bidirectional=both, batch_first=True,
               dtype=torch.float64, **options)
    for k, parameter in enumerate(net.parameters()):
        value = wave(tuple(reversed(parameter.shape)), 1.3, k, 0.6)
        parameter.data.copy_(value.t() if value.dim() == 2 else value)
    x = wave((BATCH, TIME, IN), 0.9, 0.1, 1.0).requires_grad_()
    directions = 2 if both else 1
    first = [wave((layers * directions, BATCH, HIDDEN), 0.5, k, 0.5).requires_grad_()
             for k in range(2 if kind is nn.LSTM else 1)]
    operand = x if lengths is None else pack_padded_sequence(
        x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    y, last = net(operand, tuple(first) if len(first) == 2 else first[0])
    if lengths is not None:
        y = pad_packed_sequence(y, batch_first=True, total_length=TIME)[0]
    results = [y, *(last if len(first) == 2 else [last])]
    sum((r * wave(r.shape, 1.9, k, 1.0)).sum() for k, r in enumerate(results)).backward()

    def flat(tensor):
        return (tensor.t() if tensor.dim() == 2 else tensor).flatten().tolist()

    return {"layers": layers, "both": both, "lengths": lengths,
            "results": [r.flatten().tolist() for r in results],
            "dx": x.grad.flatten().tolist(), "dfirst": [f.grad.flatten().tolist() for f in first],
            "parameters": {name: flat(p.grad) for name, p in net.named_parameters()}}


golden = {"batch": BATCH, "time": TIME, "in": IN, "hidden": HIDDEN, "cases": {
    "lstm": run(nn.LSTM, 1, False),
    "lstm_deep": run(nn.LSTM, 2, True),
    "lstm_lengths": run(nn.LSTM, 2, True, lengths=[2, 4, 1]),
    "lstm_no_bias": run(nn.LSTM, 1, False, bias=False),
    "gru": run(nn.GRU, 2, False),
    "gru_lengths": run(nn.GRU, 1, True, lengths=[2, 4, 1]),
    "rnn_tanh": run(nn.RNN, 2, False),
    "rnn_relu": run(nn.RNN, 1, True, lengths=[4, 3, 2], nonlinearity="relu"),
}}
(HERE / "recurrent.json").write_text(json.dumps(golden) + "\n")

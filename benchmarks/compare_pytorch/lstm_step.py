#!/usr/bin/env python3
"""The training step of benchmarks/lstm_step_benchmark.cc in PyTorch: 2 layers of LSTM, 512 wide, 64
steps of time, and a head of 10 classes; SGD with momentum.

    OMP_WAIT_POLICY=passive OPENBLAS_NUM_THREADS=2 python3 lstm_step.py --threads 2
"""
import argparse

import torch
from torch import nn
from torch.nn import functional as F

import step_timing


class Model(nn.Module):
    def __init__(self, options):
        super().__init__()
        self.lstm = nn.LSTM(options.hidden, options.hidden, options.layers, batch_first=True)
        self.head = nn.Linear(options.hidden, 10)

    def forward(self, x):
        return self.head(self.lstm(x)[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    step_timing.add_flags(parser, steps=10, warmup=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--time", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=512)
    options = parser.parse_args()
    step_timing.start(options)
    model = Model(options).to(options.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9,
                                **step_timing.fused(options))
    count = options.batch * options.time
    x = torch.randn(options.batch, options.time, options.hidden, device=options.device)
    targets = torch.arange(count, device=options.device) % 10
    run = step_timing.compiled(options, model)
    seconds = step_timing.seconds_per_step(options, optimizer,
                                           lambda: F.cross_entropy(run(x).flatten(0, 1), targets))
    step_timing.report(options, seconds, count, "tokens")


if __name__ == "__main__":
    main()

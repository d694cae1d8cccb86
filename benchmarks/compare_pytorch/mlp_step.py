#!/usr/bin/env python3
"""The training step of benchmarks/mlp_step_benchmark.cc in PyTorch: 784 - 1024 - 1024 - 10, ReLU,
SGD with momentum.

    OMP_WAIT_POLICY=passive OPENBLAS_NUM_THREADS=2 python3 mlp_step.py --threads 2
    python3 mlp_step.py --device cuda --steps 1000 [--cuda-graphs]
"""
import argparse

import torch
from torch.nn import functional as F

import step_timing
from models import Mlp


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    step_timing.add_flags(parser, steps=50, warmup=5)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--hidden", type=int, default=1024)
    options = parser.parse_args()
    step_timing.start(options)
    model = Mlp([784, options.hidden, options.hidden, 10]).to(options.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9,
                                **step_timing.fused(options))
    images = torch.randn(options.batch, 784, device=options.device)
    targets = torch.arange(options.batch, device=options.device) % 10
    run = step_timing.compiled(options, model)
    seconds = step_timing.seconds_per_step(options, optimizer,
                                           lambda: F.cross_entropy(run(images), targets))
    step_timing.report(options, seconds, options.batch, "images")


if __name__ == "__main__":
    main()

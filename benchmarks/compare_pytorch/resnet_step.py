#!/usr/bin/env python3
"""The training step of benchmarks/resnet_step_benchmark.cc in PyTorch.

    OMP_WAIT_POLICY=passive python3 resnet_step.py [--threads 2] [--batch 64] [--steps 10]
    python3 resnet_step.py --device cuda --depth 50 --stem imagenet --classes 1000 --size 224 \\
        --batch 256 --precision bf16 [--evaluate]

Channels last, as PyTorch advises for convolutions. Needs torch only.
"""
import argparse

import torch
from torch.nn import functional as F

import step_timing
from models import ResNet


def evaluate(options, model, run, images):
    model.eval()
    with torch.no_grad(), step_timing.autocast(options):
        return run(images).sum()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    step_timing.add_flags(parser, steps=10, warmup=2)
    parser.add_argument("--depth", type=int, choices=(18, 34, 50), default=18)
    parser.add_argument("--stem", choices=("small", "imagenet"), default="small")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--evaluate", action="store_true", help="forward only, as in evaluation")
    options = parser.parse_args()
    step_timing.start(options)
    torch.backends.cudnn.benchmark = True  # algorithms by timing, as ours are
    model = ResNet(options.depth, options.classes, stem=options.stem).to(
        options.device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4,
                                **step_timing.fused(options))
    images = torch.randn(options.batch, 3, options.size, options.size, device=options.device).to(
        memory_format=torch.channels_last)
    targets = torch.arange(options.batch, device=options.device) % options.classes
    run = step_timing.compiled(options, model)
    if options.evaluate:
        seconds = step_timing.seconds_per_call(options,
                                               lambda: evaluate(options, model, run, images))
    else:
        seconds = step_timing.seconds_per_step(options, optimizer,
                                               lambda: F.cross_entropy(run(images), targets))
    step_timing.report(options, seconds, options.batch, "images")


if __name__ == "__main__":
    main()

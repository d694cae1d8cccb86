"""The ResNet-18 training step of benchmarks/resnet_step_benchmark.cc in PyTorch, on the CPU.

usage: OMP_WAIT_POLICY=passive python3 resnet_step.py [--threads 2] [--batch 64] [--steps 10]

Channels last, as PyTorch advises for convolutions on CPUs. Needs torch only.
"""
import argparse

import torch
from torch.nn import functional as F

from models import ResNet
from step_timing import median_step_seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    model = ResNet().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    images = torch.randn(args.batch, 3, 32, 32).to(memory_format=torch.channels_last)
    targets = torch.arange(args.batch) % 10
    median = median_step_seconds(args.steps, 2, optimizer,
                                 lambda: F.cross_entropy(model(images), targets))
    print(f"torch {torch.__version__}: {1e3 * median:.1f} ms per step, "
          f"{args.batch / median:.1f} images/s")


if __name__ == "__main__":
    main()

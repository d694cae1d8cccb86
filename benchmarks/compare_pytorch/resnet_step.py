"""The ResNet-18 training step of benchmarks/resnet_step_benchmark.cc in PyTorch, on the CPU.

usage: OMP_WAIT_POLICY=passive python3 resnet_step.py [--threads 2] [--batch 64] [--steps 10]

Channels last, as PyTorch advises for convolutions on CPUs. Needs torch only.
"""
import argparse

import torch
from torch import nn
from torch.nn import functional as F

from step_timing import median_step_seconds


class Block(nn.Module):
    def __init__(self, inner, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inner, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = None
        if stride != 1 or inner != width:
            self.downsample = nn.Sequential(
                nn.Conv2d(inner, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (self.downsample(x) if self.downsample else x))


class ResNet18(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        blocks, inner = [], 64
        for stage in range(4):
            for i in range(2):
                width = 64 << stage
                blocks.append(Block(inner, width, 2 if stage and not i else 1))
                inner = width
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = self.blocks(F.relu(self.bn1(self.conv1(x))))
        return self.fc(x.mean((2, 3)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    model = ResNet18().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    images = torch.randn(args.batch, 3, 32, 32).to(memory_format=torch.channels_last)
    targets = torch.arange(args.batch) % 10
    median = median_step_seconds(args.steps, 2, optimizer,
                                 lambda: F.cross_entropy(model(images), targets))
    print(f"torch {torch.__version__}: {1e3 * median:.1f} ms per step, "
          f"{args.batch / median:.1f} images/s")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What an op of PyTorch costs besides its arithmetic, from Python: chains of 100 ops on 4-element
tensors, forward and backward, as benchmarks/op_overhead_benchmark.cc runs them.

    python3 op_overhead.py [--device cuda] [--json]

"ns per op" is the host's time; on a GPU the host waits outside the clock, so that its queue never
fills, and "with wait" has that wait in it.
"""
import argparse
import json
import statistics
import sys
import time

import torch
from torch.nn import functional as F

CHAIN = 100


def nanoseconds(device, op, repeats):
    """Per op: the host's time and the time until the device is done, medians."""
    x = torch.ones(4, device=device, requires_grad=True)
    dy = torch.ones(4, device=device)
    host, done = [], []
    for i in range(repeats + 3):
        begun = time.perf_counter()
        y = x
        for _ in range(CHAIN):
            y = op(y)
        y.backward(dy)
        x.grad = None
        queued = time.perf_counter()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        if i >= 3:
            host.append(queued - begun)
            done.append(time.perf_counter() - begun)
    return tuple(1e9 * statistics.median(seconds) / CHAIN for seconds in (host, done))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="a last line for scripts")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("no CUDA device that this PyTorch can use")
    torch.set_num_threads(1)
    small = torch.full((4,), 1e-3, device=options.device)
    about_one = torch.full((4,), 1.001, device=options.device)
    learned = about_one.clone().requires_grad_()
    ops = {"add_forward_backward": lambda y: y + small,
           "mul_forward_backward": lambda y: y * about_one,
           "mul_two_gradients": lambda y: y * learned,
           "gelu_forward_backward": lambda y: F.gelu(y, approximate="tanh")}
    result = {}
    for name, op in ops.items():
        host, done = nanoseconds(options.device, op, options.repeats)
        result[name] = host
        print(f"PyTorch {torch.__version__}, {options.device}, {name}: {host:.0f} ns per op, "
              f"{done:.0f} with wait")
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""One training step of a small GPT in PyTorch on the CPU, the peer of training_step_benchmark.

Same model as there: 4 layers, 256 wide, 4 heads, context 256, batch 8, vocabulary 256, AdamW, f32;
--precision bf16 runs the forward pass under autocast.
Prints the median tokens per second.

    OMP_WAIT_POLICY=passive OPENBLAS_NUM_THREADS=2 python3 gpt_step.py --threads 2
"""
import argparse

import torch

from models import Gpt
from step_timing import median_step_seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--vocab", type=int, default=256)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = Gpt(options.vocab, options.context, options.layers, options.heads, options.dim)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    ids = torch.randint(options.vocab, (options.batch, options.context))
    targets = torch.randint(options.vocab, (options.batch, options.context))

    def loss():
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
            return model(ids, targets)

    median = median_step_seconds(options.steps, 3, optimizer, loss)
    print(f"PyTorch {torch.__version__}, {options.threads} threads, {options.precision}: "
          f"{1e3 * median:.1f} ms per step, "
          f"{options.batch * options.context / median:,.0f} tok/s")


if __name__ == "__main__":
    main()

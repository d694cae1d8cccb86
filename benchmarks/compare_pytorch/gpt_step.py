#!/usr/bin/env python3
"""One training step of a GPT in PyTorch, the peer of training_step_benchmark.

Same model as there: 4 layers, 256 wide, 4 heads, context 256, batch 8, vocabulary 256, AdamW, f32
on the CPU; or GPT-2 by --size. --precision bf16 runs the forward pass under autocast.

    OMP_WAIT_POLICY=passive OPENBLAS_NUM_THREADS=2 python3 gpt_step.py --threads 2
    python3 gpt_step.py --device cuda --size gpt2 --vocab-multiple 128 --batch 64 \\
        --precision bf16 --compile
"""
import argparse

import torch

import step_timing
from models import Gpt

# Layers, heads and width; all with a vocabulary of 50257 and a context of 1024.
SIZES = {"gpt2": (12, 12, 768), "gpt2-medium": (24, 16, 1024), "gpt2-large": (36, 20, 1280),
         "gpt2-xl": (48, 25, 1600)}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    step_timing.add_flags(parser, steps=20, warmup=3)
    parser.add_argument("--size", choices=SIZES)
    for flag in ("layers", "heads", "dim", "context", "vocab"):
        parser.add_argument(f"--{flag}", type=int, default=0, help="default: of --size")
    parser.add_argument("--vocab-multiple", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()
    usual = SIZES[options.size] + (1024, 50257) if options.size else (4, 4, 256, 256, 256)
    layers, heads, dim, context, vocab = (
        given or default for given, default in
        zip((options.layers, options.heads, options.dim, options.context, options.vocab), usual))
    rows = -(-vocab // options.vocab_multiple) * options.vocab_multiple

    step_timing.start(options)
    model = Gpt(rows, context, layers, heads, dim).to(options.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1,
                                  **step_timing.fused(options))
    ids = torch.randint(vocab, (options.batch, context), device=options.device)
    targets = torch.randint(vocab, (options.batch, context), device=options.device)
    run = step_timing.compiled(options, model)
    seconds = step_timing.seconds_per_step(options, optimizer, lambda: run(ids, targets))
    step_timing.report(options, seconds, options.batch * context, "tok")


if __name__ == "__main__":
    main()

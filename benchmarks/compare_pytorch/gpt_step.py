#!/usr/bin/env python3
"""One training step of a small GPT in PyTorch on the CPU, the peer of training_step_benchmark.

Same model as there: 4 layers, 256 wide, 4 heads, context 256, batch 8, vocabulary 256, AdamW, f32.
Prints the median tokens per second.

    OMP_WAIT_POLICY=passive OPENBLAS_NUM_THREADS=2 python3 gpt_step.py --threads 2
"""
import argparse
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from step_timing import median_step_seconds


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.c_attn, self.c_proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.c_fc, self.c_out = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x):
        batch, time_, dim = x.shape
        q, k, v = self.c_attn(self.ln_1(x)).split(dim, dim=2)
        q, k, v = (t.view(batch, time_, self.heads, -1).transpose(1, 2) for t in (q, k, v))
        if hasattr(F, "scaled_dot_product_attention"):
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))
            mask = torch.ones(time_, time_, dtype=torch.bool).tril()
            y = scores.masked_fill(~mask, float("-inf")).softmax(-1) @ v
        x = x + self.c_proj(y.transpose(1, 2).reshape(batch, time_, dim))
        gelu = F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh")
        return x + self.c_out(gelu)


class Gpt(nn.Module):
    def __init__(self, vocab, context, layers, heads, dim):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab, dim), nn.Embedding(context, dim)
        self.h = nn.ModuleList(Block(dim, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(dim)

    def forward(self, ids, targets):
        x = self.wte(ids) + self.wpe(torch.arange(ids.size(1)))
        for block in self.h:
            x = block(x)
        logits = self.ln_f(x) @ self.wte.weight.t()
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))


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
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = Gpt(options.vocab, options.context, options.layers, options.heads, options.dim)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    ids = torch.randint(options.vocab, (options.batch, options.context))
    targets = torch.randint(options.vocab, (options.batch, options.context))
    median = median_step_seconds(options.steps, 3, optimizer, lambda: model(ids, targets))
    print(f"PyTorch {torch.__version__}, {options.threads} threads: {1e3 * median:.1f} ms per step, "
          f"{options.batch * options.context / median:,.0f} tok/s")


if __name__ == "__main__":
    main()

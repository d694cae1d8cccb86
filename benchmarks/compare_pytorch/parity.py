#!/usr/bin/env python3
"""Trains the same model from the same weights on the same batches in PyTorch and in Trireme, and
compares the loss of every step.

usage: parity.py gpt|lstm|mlp|resnet --bin DIR [--device cpu|cuda|cuda:N] [--precision f32|bf16] [--steps N] [...]

DIR holds trireme-train. Prints one line; where a loss differs by more than --tolerance (default: 1e-4
relative in f32, 1e-2 in bf16), prints every step's as well and ends with 1. Needs torch; nothing else.

GPT-2 124M without warm-up leaps at 1e-4 and above, and what f32 rounds then parts the losses by more than
a thousandth; so it learns slowly here.

A ReLU network magnifies rounding: with usual initial weights PyTorch's own f32 and f64 runs of ResNet-50
part by 3 % within three steps at a rate of 2e-5, and by 5e-4 even at 1e-6, once activations beside 0 fall on
the other side. So the last norm of each block begins with gamma 0 (Goyal et al., "Accurate, large minibatch
SGD", 2017, section 5.1), and in f32 it is compared with PyTorch's f64.
"""
import argparse
import json
import math
import os
import random
import struct
import subprocess
import sys
import tempfile

import torch
from torch.nn import functional as F

from models import Gpt, Lstm, Mlp, ResNet, ResNetBlock, save_safetensors

RATE = {"gpt": 2e-5, "lstm": 2e-3, "mlp": 0.003, "resnet": 1e-4}
SMALL_RATE = {**RATE, "gpt": 6e-4, "resnet": 1e-3}
MOMENTUM = ["--optimizer", "sgd", "--momentum", "0.9", "--weight-decay", "0"]


def autocast(options):
    return torch.autocast(torch.device(options.device).type, dtype=torch.bfloat16,
                          enabled=options.precision == "bf16")


def train_both(options, folder, model, make_optimizer, loss_of, words):
    """The losses of all steps, ours and PyTorch's; loss_of(step) is the loss of that step's batch."""
    theirs = []
    model.train()
    save_safetensors(os.path.join(folder, "weights.safetensors"), model.export())
    optimizer = make_optimizer()
    for step in range(options.steps):
        with autocast(options):
            loss = loss_of(step)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        theirs.append(loss.item())
    return train_with_trireme(options, folder, words), theirs


def train_with_trireme(options, folder, words):
    """The losses of all steps from folder/weights.safetensors."""
    out = tempfile.mkdtemp(dir=folder)
    command = [os.path.join(options.bin, "trireme-train"), options.model,
               "--out", out, "--resume", "never",
               "--init-from", os.path.join(folder, "weights.safetensors"),
               "--device", options.device, "--steps", str(options.steps),
               "--batch", str(options.batch), "--lr", str(options.lr),
               "--schedule", "constant", "--warmup", "0", "--clip", "0", "--log-every", "1",
               "--eval-every", "0", "--eval-batches", "1"] + words
    if options.precision != "f32":
        command += ["--precision", options.precision]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"parity: {' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    with open(os.path.join(out, "metrics.jsonl"), encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    return [r["loss"] for r in records if "loss" in r]


def compare_gpt(options, folder):
    layers, heads, dim, context, vocab = (12, 12, 768, 1024, 50257)
    if options.small:
        layers, heads, dim, context, vocab = (2, 2, 64, 32, 256)
    model = Gpt(vocab, context, layers, heads, dim).to(options.device)
    return compare_text(options, folder, model, vocab, context,
                        ["--layers", str(layers), "--heads", str(heads), "--dim", str(dim)])


def compare_lstm(options, folder):
    layers, dim, context, vocab = (2, 64, 32, 256) if options.small else (2, 512, 64, 50257)
    model = Lstm(vocab, layers, dim).to(options.device)
    return compare_text(options, folder, model, vocab, context,
                        ["--layers", str(layers), "--dim", str(dim)])


def compare_text(options, folder, model, vocab, context, words):
    # A text that has something to learn; windows end to end, the last tenth is for validation.
    draw = random.Random(2)
    count = options.steps * options.batch * context + 1
    tokens = [0]
    for _ in range(int(count * 1.2)):
        tokens.append((tokens[-1] * 5 + draw.choice((1, 1, 1, 7))) % min(vocab, 997))
    path = os.path.join(folder, "tokens.u16")
    with open(path, "wb") as file:
        file.write(struct.pack(f"<{len(tokens)}H", *tokens))
    data = torch.tensor(tokens)

    def loss_of(step):
        starts = [(step * options.batch + i) * context for i in range(options.batch)]
        ids = torch.stack([data[s:s + context] for s in starts]).to(options.device)
        targets = torch.stack([data[s + 1:s + 1 + context] for s in starts]).to(options.device)
        return model(ids, targets)

    decayed = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]

    def make_optimizer():
        return torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1},
                                  {"params": plain, "weight_decay": 0.0}],
                                 lr=options.lr, betas=(0.9, 0.95))

    return train_both(options, folder, model, make_optimizer, loss_of, [
        "--data", path, "--vocab", str(vocab), "--order", "sequential", "--context", str(context),
        "--dropout", "0", "--optimizer", "adamw", "--weight-decay", "0.1", "--beta1", "0.9",
        "--beta2", "0.95"] + words)


def write_idx(path, shape, raw):
    with open(path, "wb") as file:
        file.write(struct.pack(">HBB", 0, 8, len(shape)) + struct.pack(f">{len(shape)}I", *shape) + raw)


def write_digits(options, folder, size):
    """Images [batch, 1, size, size] and labels, and the same as IDX files.

    As many as the batch has: every step sees all of them, in whatever order. Digits lie at the
    brightness of their class, so that there is something to learn.
    """
    labels = [i % 10 for i in range(options.batch)]
    draw = random.Random(2)
    raw = bytes(min(255, max(0, 20 * labels[i] + draw.randrange(64)))
                for i in range(options.batch) for _ in range(size * size))
    for part in ("train", "t10k"):
        write_idx(os.path.join(folder, f"{part}-images-idx3-ubyte"), (options.batch, size, size), raw)
        write_idx(os.path.join(folder, f"{part}-labels-idx1-ubyte"), (options.batch,), bytes(labels))
    images = torch.frombuffer(bytearray(raw), dtype=torch.uint8).float().view(-1, 1, size, size)
    return normalised(images / 255), torch.tensor(labels, device=options.device)


def compare_mlp(options, folder):
    size, hidden = (8, [32, 32]) if options.small else (28, [1024, 1024])
    images, targets = write_digits(options, folder, size)
    images = images.to(options.device)
    model = Mlp([size * size] + hidden + [10]).to(options.device)
    return train_both(
        options, folder, model,
        lambda: torch.optim.SGD(model.parameters(), lr=options.lr, momentum=0.9),
        lambda _: F.cross_entropy(model(images).float(), targets),
        ["--data", folder, "--hidden", ",".join(map(str, hidden))] + MOMENTUM)


def compare_resnet(options, folder):
    depth, width, size, stem = (50, 64, 64, "imagenet")
    if options.small:
        depth, width, size, stem = (18, 8, 16, "small")
    exact = torch.float64 if options.precision == "f32" else torch.float32
    model = ResNet(depth, 10, 1, width, stem).to(options.device, exact,
                                                 memory_format=torch.channels_last)
    for block in model.modules():
        if isinstance(block, ResNetBlock):
            torch.nn.init.zeros_(getattr(block, f"bn{block.convs}").weight)
    images, targets = write_digits(options, folder, size)
    images = images.to(options.device, exact, memory_format=torch.channels_last)

    def make_optimizer():
        return torch.optim.SGD(model.parameters(), lr=options.lr, momentum=0.9)

    def loss_of(_):
        logits = model(images)
        return F.cross_entropy(logits if exact == torch.float64 else logits.float(), targets)

    return train_both(options, folder, model, make_optimizer, loss_of, [
        "--data", folder, "--depth", str(depth), "--width", str(width), "--stem", stem] + MOMENTUM)


def normalised(images):
    """As core/data/image_data.h normalises: to mean 0 and deviation 1 over all pixels."""
    wide = images.double()
    return ((wide - wide.mean()) / wide.std(unbiased=False)).float()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=("gpt", "lstm", "mlp", "resnet"))
    parser.add_argument("--bin", required=True, help="folder of trireme-train")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--lr", type=float, 
                        help=f"learning rate (default: {RATE}, with --small {SMALL_RATE})")
    parser.add_argument("--tolerance", type=float, default=0)
    parser.add_argument("--small", action="store_true", help="a small model, for CPUs")
    options = parser.parse_args()
    if options.lr is None:
        options.lr = (SMALL_RATE if options.small else RATE)[options.model]
    if options.model in ("mlp", "resnet") and options.batch < 10:
        parser.error(f"{options.model} has 10 classes, a sample of each must be in the batch: "
                     f"--batch must be at least 10, got {options.batch}")
    tolerance = options.tolerance or (1e-4 if options.precision == "f32" else 1e-2)
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False

    with tempfile.TemporaryDirectory() as folder:
        compare = {"gpt": compare_gpt, "lstm": compare_lstm, "mlp": compare_mlp,
                   "resnet": compare_resnet}
        ours, theirs = compare[options.model](options, folder)
    if len(ours) != len(theirs):
        sys.exit(f"parity: {len(theirs)} steps in PyTorch but {len(ours)} in Trireme")
    if not all(map(math.isfinite, ours + theirs)):
        sys.exit(f"parity: losses that are not finite: {ours}, PyTorch {theirs}")
    worst = max(range(len(ours)), key=lambda i: abs(ours[i] / theirs[i] - 1))
    off = abs(ours[worst] / theirs[worst] - 1)
    print(f"{options.model} {options.precision} on {options.device}: {options.steps} steps, loss "
          f"{theirs[0]:.5f} -> {theirs[-1]:.5f}, largest difference {off:.1e} at step {worst + 1} "
          f"({ours[worst]:.6f}, PyTorch {theirs[worst]:.6f}), allowed {tolerance:.0e}")
    if off <= tolerance:
        return 0
    for step, (a, b) in enumerate(zip(ours, theirs), 1):
        print(f"step {step:3} {a:.6f} PyTorch {b:.6f} {a / b - 1:+.1e}")
    return 1


if __name__ == "__main__":
    sys.exit(main())

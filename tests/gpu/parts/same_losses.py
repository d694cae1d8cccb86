#!/usr/bin/env python3
"""Compares the losses of two runs step by step.

usage: same_losses.py METRICS.jsonl METRICS.jsonl TOLERANCE

Ends with 1 where a loss differs by more than TOLERANCE (relative), or one run has fewer steps.
"""
import json
import sys


def losses_of(path):
    with open(path, encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    return [r["loss"] for r in records if "loss" in r]


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    a, b, tolerance = losses_of(sys.argv[1]), losses_of(sys.argv[2]), float(sys.argv[3])
    if len(a) != len(b) or not a:
        sys.exit(f"same_losses: {len(a)} and {len(b)} steps in {sys.argv[1]} and {sys.argv[2]}")
    off = [abs(x / y - 1) for x, y in zip(a, b)]
    worst = max(range(len(off)), key=off.__getitem__)
    print(f"{len(a)} losses, {a[0]:.5f} -> {a[-1]:.5f}, largest difference {off[worst]:.1e} at step "
          f"{worst + 1}, allowed {tolerance:.0e}")
    return 0 if off[worst] <= tolerance else 1


if __name__ == "__main__":
    sys.exit(main())

"""Writes a small set of labelled images as IDX files: train- and t10k- pairs.

usage: make_idx.py DIRECTORY

Ten classes of 8 x 8 pixels: each has a pattern of its own under as much noise, so that one pixel says
little and a classifier must weigh many.
"""
import pathlib
import random
import struct
import sys

CLASSES, SIDE = 10, 8


def write_idx(path, dims, values):
    header = struct.pack(f">BBBB{len(dims)}I", 0, 0, 8, len(dims), *dims)
    path.write_bytes(header + bytes(values))


def main(directory):
    rng = random.Random(7)
    folder = pathlib.Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    patterns = [[rng.randrange(256) for _ in range(SIDE * SIDE)] for _ in range(CLASSES)]
    for part, count in (("train", 1000), ("t10k", 300)):
        labels = [rng.randrange(CLASSES) for _ in range(count)]
        pixels = [(p + rng.randrange(256)) // 2 for label in labels for p in patterns[label]]
        write_idx(folder / f"{part}-images-idx3-ubyte", [count, SIDE, SIDE], pixels)
        write_idx(folder / f"{part}-labels-idx1-ubyte", [count], labels)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Writes the images of IDX files as PNG files, a folder per class.

usage: make_png_folders.py IDX-FOLDER DIRECTORY

A train- and a t10k- pair become DIRECTORY/train/<label> and DIRECTORY/val/<label>; a single pair becomes
DIRECTORY/<label>.
"""
import gzip
import pathlib
import struct
import sys
import zlib


def read_idx(folder, name):
    [path] = folder.glob(name + "*")
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    rank = data[3]
    return struct.unpack_from(f">{rank}I", data, 4), data[4 + 4 * rank:]


def grey_png(rows, cols, pixels):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    lines = b"".join(b"\0" + pixels[r * cols:(r + 1) * cols] for r in range(rows))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", cols, rows, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))


def write_part(source, prefix, target):
    (count, rows, cols), pixels = read_idx(source, prefix + "images")
    _, labels = read_idx(source, prefix + "labels")
    for label in sorted(set(labels)):
        (target / str(label)).mkdir(parents=True)
    for i in range(count):
        image = pixels[i * rows * cols:(i + 1) * rows * cols]
        (target / str(labels[i]) / f"{i:05}.png").write_bytes(grey_png(rows, cols, image))


def main(source, target):
    source, target = pathlib.Path(source), pathlib.Path(target)
    prefixes = sorted(path.name.split("images")[0] for path in source.glob("*images*"))
    if prefixes == ["t10k-", "train-"]:
        write_part(source, "train-", target / "train")
        write_part(source, "t10k-", target / "val")
    else:
        write_part(source, prefixes[0], target)


if __name__ == "__main__":
    main(*sys.argv[1:])

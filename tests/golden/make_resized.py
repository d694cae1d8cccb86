#!/usr/bin/env python3
"""Writes resized.json: images scaled by Pillow (made with 9.4), bilinear.

The source is a formula that the test computes again. Each case is a part of it, scaled as a whole;
"center" ones are then cut as torchvision's CenterCrop does.
"""

import json
import pathlib

from PIL import Image

HERE = pathlib.Path(__file__).parent


def source(rows, cols):
    image = Image.new("RGB", (cols, rows))
    image.putdata([tuple((r * 7 + c * 13 + k * 61 + r * c % 31 * 5) % 256 for k in range(3))
                   for r in range(rows) for c in range(cols)])
    return image


def case(rows, cols, box, out_rows, out_cols):
    top, left, height, width = box
    image = source(rows, cols).crop((left, top, left + width, top + height))
    image = image.resize((out_cols, out_rows), Image.BILINEAR)
    return {"source": [rows, cols], "box": box, "scaled": [out_rows, out_cols],
            "window": [0, 0, out_rows, out_cols], "pixels": list(image.tobytes())}


def center(rows, cols, side, shorter):
    out_rows, out_cols = shorter * rows // min(rows, cols), shorter * cols // min(rows, cols)
    top, left = int(round((out_rows - side) / 2.0)), int(round((out_cols - side) / 2.0))
    image = source(rows, cols).resize((out_cols, out_rows), Image.BILINEAR)
    image = image.crop((left, top, left + side, top + side))
    return {"source": [rows, cols], "box": [0, 0, rows, cols], "scaled": [out_rows, out_cols],
            "window": [top, left, side, side], "pixels": list(image.tobytes())}


CASES = [
    case(61, 47, [0, 0, 61, 47], 9, 12),   # smaller
    case(8, 9, [0, 0, 8, 9], 14, 11),      # larger
    case(61, 47, [5, 9, 10, 33], 13, 9),   # a part, larger one way and smaller the other
    case(12, 10, [3, 2, 7, 6], 7, 6),      # a part as it is
    case(3, 200, [0, 0, 3, 200], 3, 1),    # one pixel wide
    center(61, 47, 14, 16),
    center(33, 52, 14, 16),
]
(HERE / "resized.json").write_text(
    "[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in CASES) + "\n]\n")

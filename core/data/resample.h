// Scales images by the bilinear filter with antialias.
//
// The method is Pillow's (`Image.resize(..., BILINEAR)`, which torchvision uses on images from
// files) and gives the same bytes: a triangle filter, as wide as the step between output pixels
// where that is more than one input pixel, so that every input pixel counts when an image becomes
// smaller. Rows are filtered first, then columns; weights are fixed-point numbers and results are
// rounded to bytes in between. Nothing outside the source box is looked at.

#pragma once

#include <cstdint>

#include "core/data/rgb_image.h"

namespace trireme {

/// Part of an image, in pixels.
struct PixelBox {
  int64_t top = 0, left = 0;
  int64_t rows = 0, cols = 0;
};

/// `source` is scaled to rows x cols, of which `window` is wanted.
struct Scaling {
  PixelBox source;
  int64_t rows = 0, cols = 0;
  PixelBox window;
};

/// The window, as an image. Requires boxes of at least one pixel that lie inside what they are of.
RgbImage resample(const RgbImage& image, const Scaling& scaling);

}  // namespace trireme

// A decoded image: eight bits each of red, green and blue.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace trireme {

/// pixels: [rows, cols, 3], their values undefined at first.
struct RgbImage {
  RgbImage(int64_t rows_, int64_t cols_)
      : rows(rows_), cols(cols_), pixels(new uint8_t[static_cast<size_t>(rows_ * cols_ * 3)]) {}

  int64_t rows, cols;
  std::unique_ptr<uint8_t[]> pixels;

  uint8_t* row(int64_t r) const { return pixels.get() + r * cols * 3; }
};

}  // namespace trireme

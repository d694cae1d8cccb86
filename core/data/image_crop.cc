#include "core/data/image_crop.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"

namespace trireme {
namespace {

constexpr double kLeastRatio = 3.0 / 4, kMostRatio = 4.0 / 3;  // of width to height
constexpr int kAttempts = 10;

double uniform(double from, double to, Generator& random) {
  return from + (to - from) * random.next_uniform();
}

int64_t place(int64_t room, Generator& random) {
  return static_cast<int64_t>(random.next_below(static_cast<uint64_t>(room + 1)));
}

int64_t rounded(double value) { return std::lrint(value); }

PixelBox largest_in_middle(int64_t rows, int64_t cols) {
  const double ratio = static_cast<double>(cols) / static_cast<double>(rows);
  PixelBox box{.rows = rows, .cols = cols};
  if (ratio < kLeastRatio) box.rows = rounded(static_cast<double>(cols) / kLeastRatio);
  if (ratio > kMostRatio) box.cols = rounded(static_cast<double>(rows) * kMostRatio);
  box.top = (rows - box.rows) / 2;
  box.left = (cols - box.cols) / 2;
  return box;
}

PixelBox random_box(int64_t rows, int64_t cols, double least_area, Generator& random) {
  const auto pixels = static_cast<double>(rows * cols);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const double area = pixels * uniform(least_area, 1, random);
    const double ratio = std::exp(uniform(std::log(kLeastRatio), std::log(kMostRatio), random));
    PixelBox box{.rows = rounded(std::sqrt(area / ratio)),
                 .cols = rounded(std::sqrt(area * ratio))};
    if (box.rows < 1 || box.cols < 1 || box.rows > rows || box.cols > cols) continue;
    box.top = place(rows - box.rows, random);
    box.left = place(cols - box.cols, random);
    return box;
  }
  return largest_in_middle(rows, cols);
}

}  // namespace

Scaling random_crop(int64_t rows, int64_t cols, int64_t side, double least_area,
                    Generator& random) {
  return {.source = random_box(rows, cols, least_area, random),
          .rows = side,
          .cols = side,
          .window = {.rows = side, .cols = side}};
}

Scaling center_crop(int64_t rows, int64_t cols, int64_t side, int64_t shorter) {
  require(side >= 1 && shorter >= side, "center_crop", "the shorter side must have at least ", side,
          " pixels, got ", shorter);
  const int64_t least = std::min(rows, cols);
  Scaling scaling{.source = {.rows = rows, .cols = cols},
                  .rows = shorter * rows / least,
                  .cols = shorter * cols / least,
                  .window = {.rows = side, .cols = side}};
  scaling.window.top = rounded(static_cast<double>(scaling.rows - side) / 2);
  scaling.window.left = rounded(static_cast<double>(scaling.cols - side) / 2);
  return scaling;
}

}  // namespace trireme

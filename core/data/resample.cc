#include "core/data/resample.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/base/error.h"

namespace trireme {
namespace {

// Sums of products of weights (at most 1) and bytes then fit into 31 bits, with one bit to spare.
constexpr int kWeightBits = 22;
constexpr int32_t kHalf = 1 << (kWeightBits - 1);

uint8_t to_byte(int32_t sum) {
  return static_cast<uint8_t>(std::clamp<int32_t>(sum >> kWeightBits, 0, 255));
}

// Along one dimension: output i is the sum over k of weights[i * taps + k] * input[first[i] + k].
struct Filter {
  int64_t taps = 0;
  std::vector<int64_t> first, count;  // by output
  std::vector<int32_t> weights;

  const int32_t* weights_of(int64_t i) const { return weights.data() + i * taps; }
};

// For outputs [begin, begin + count) of `scaled`, made from inputs [start, start + length).
Filter make_filter(int64_t start, int64_t length, int64_t scaled, int64_t begin, int64_t count) {
  const double step = static_cast<double>(length) / static_cast<double>(scaled);
  const double reach = std::max(step, 1.0);  // of the triangle, to each side
  Filter filter;
  filter.taps = static_cast<int64_t>(std::ceil(reach)) * 2 + 1;
  filter.weights.resize(static_cast<size_t>(filter.taps * count));
  std::vector<double> exact(static_cast<size_t>(filter.taps));
  for (int64_t i = 0; i < count; ++i) {
    const double center = (static_cast<double>(begin + i) + 0.5) * step;
    const auto from = static_cast<int64_t>(std::max(center - reach + 0.5, 0.0));
    const auto to = std::min(static_cast<int64_t>(center + reach + 0.5), length);
    double sum = 0;
    for (int64_t k = 0; k < to - from; ++k) {
      const double distance = (static_cast<double>(from + k) - center + 0.5) / reach;
      sum += exact[static_cast<size_t>(k)] = std::max(1.0 - std::abs(distance), 0.0);
    }
    for (int64_t k = 0; k < to - from; ++k) {
      const double weight = exact[static_cast<size_t>(k)] / sum;
      filter.weights[static_cast<size_t>(i * filter.taps + k)] =
          static_cast<int32_t>(weight * (1 << kWeightBits) + 0.5);
    }
    filter.first.push_back(start + from);
    filter.count.push_back(to - from);
  }
  return filter;
}

void filter_row(const uint8_t* row, const Filter& filter, uint8_t* out) {
  for (size_t i = 0; i < filter.first.size(); ++i, out += 3) {
    const int32_t* weights = filter.weights_of(static_cast<int64_t>(i));
    const uint8_t* pixel = row + filter.first[i] * 3;
    std::array<int32_t, 3> sums = {kHalf, kHalf, kHalf};
    for (int64_t k = 0; k < filter.count[i]; ++k, pixel += 3) {
      for (size_t c = 0; c < 3; ++c) sums[c] += weights[k] * pixel[c];
    }
    for (size_t c = 0; c < 3; ++c) out[c] = to_byte(sums[c]);
  }
}

// from: the first of `count` rows of `bytes` each.
void filter_column(const uint8_t* from, int64_t bytes, const int32_t* weights, int64_t count,
                   std::vector<int32_t>& sums, uint8_t* out) {
  std::fill(sums.begin(), sums.end(), kHalf);
  for (int64_t k = 0; k < count; ++k, from += bytes) {
    for (int64_t b = 0; b < bytes; ++b) sums[static_cast<size_t>(b)] += weights[k] * from[b];
  }
  for (int64_t b = 0; b < bytes; ++b) out[b] = to_byte(sums[static_cast<size_t>(b)]);
}

void check_inside(const PixelBox& box, int64_t rows, int64_t cols) {
  require(box.rows >= 1 && box.cols >= 1 && box.top >= 0 && box.left >= 0 &&
              box.top + box.rows <= rows && box.left + box.cols <= cols,
          "resample", "a box must lie inside ", rows, " x ", cols, " pixels, got ", box.rows, " x ",
          box.cols, " at ", box.top, ", ", box.left);
}

}  // namespace

RgbImage resample(const RgbImage& image, const Scaling& scaling) {
  const PixelBox& source = scaling.source;
  const PixelBox& window = scaling.window;
  check_inside(source, image.rows, image.cols);
  check_inside(window, scaling.rows, scaling.cols);
  const Filter across =
      make_filter(source.left, source.cols, scaling.cols, window.left, window.cols);
  const Filter down = make_filter(source.top, source.rows, scaling.rows, window.top, window.rows);

  // The rows that the second pass looks at.
  const int64_t first = down.first.front(), end = down.first.back() + down.count.back();
  const RgbImage narrow(end - first, window.cols);
  for (int64_t r = first; r < end; ++r) filter_row(image.row(r), across, narrow.row(r - first));

  RgbImage out(window.rows, window.cols);
  const int64_t bytes = window.cols * 3;
  std::vector<int32_t> sums(static_cast<size_t>(bytes));
  for (int64_t r = 0; r < window.rows; ++r) {
    const auto i = static_cast<size_t>(r);
    filter_column(narrow.row(down.first[i] - first), bytes, down.weights_of(r), down.count[i], sums,
                  out.row(r));
  }
  return out;
}

}  // namespace trireme

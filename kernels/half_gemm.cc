#include "kernels/half_gemm.h"

#include <algorithm>

#include "kernels/half_rows.h"

namespace trireme::kernels {
namespace {

// Three blocks of f32 in the second-level cache: a 96 x 256, b 256 x 128, c 96 x 128, together 272
// KiB. An element of a is widened once per 128 columns, one of b once per 96 rows.
constexpr int64_t kRows = 96, kInner = 256, kCols = 128;

/// x[rows, cols] in f32 at `to`, dense in the order in which x lies.
template <typename T>
Operand<float> widened(Operand<T> x, int64_t rows, int64_t cols, float* to) {
  if (x.row_stride == 1 && x.col_stride != 1) {
    for (int64_t j = 0; j < cols; ++j) convert_row(to + j * rows, x.at(0, j), rows);
    return {to, 1, rows};
  }
  for (int64_t i = 0; i < rows; ++i) {
    float* row = to + i * cols;
    if (x.col_stride == 1) {
      convert_row(row, x.at(i, 0), cols);
    } else {
      for (int64_t j = 0; j < cols; ++j) row[j] = *x.at(i, j);
    }
  }
  return {to, cols, 1};
}

}  // namespace

template <typename T, typename C>
void half_gemm(int64_t m, int64_t n, int64_t k, Operand<T> a, Operand<T> b, const T* bias, C* c,
               int64_t c_row_stride, Write write) {
  float* wide_a =
      scratch<float>(Scratch::kWidened, kRows * kInner + kInner * kCols + kRows * kCols);
  float* wide_b = wide_a + kRows * kInner;
  float* sums = wide_b + kInner * kCols;
  for (int64_t j = 0; j < n; j += kCols) {
    const int64_t cols = std::min(kCols, n - j);
    for (int64_t i = 0; i < m; i += kRows) {
      const int64_t rows = std::min(kRows, m - i);
      std::fill_n(sums, rows * cols, 0.0f);
      for (int64_t p = 0; p < k; p += kInner) {
        const int64_t inner = std::min(kInner, k - p);
        const Operand<T> part_a{a.at(i, p), a.row_stride, a.col_stride};
        const Operand<T> part_b{b.at(p, j), b.row_stride, b.col_stride};
        gemm(rows, cols, inner, widened(part_a, rows, inner, wide_a),
             widened(part_b, inner, cols, wide_b), sums, cols, Write::kAccumulate);
      }
      for (int64_t r = 0; r < rows; ++r) {
        C* to = c + (i + r) * c_row_stride + j;
        each_vector<float>(cols, [&](int64_t q, auto part) {
          Vec<float> v = part.load(sums + r * cols + q);
          if (bias) v += part.load(bias + j + q);
          if (write == Write::kAccumulate) v += part.load(to + q);
          part.store(to + q, v);
        });
      }
    }
  }
}

#define TRIREME_INSTANTIATE(T, C)                                                          \
  template void half_gemm(int64_t, int64_t, int64_t, Operand<T>, Operand<T>, const T*, C*, \
                          int64_t, Write);
TRIREME_INSTANTIATE(BFloat16, BFloat16)
TRIREME_INSTANTIATE(BFloat16, float)
TRIREME_INSTANTIATE(Float16, Float16)
TRIREME_INSTANTIATE(Float16, float)
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels

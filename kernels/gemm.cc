#include "kernels/gemm.h"

#include <algorithm>

#include "kernels/scratch.h"
#include "kernels/simd.h"

namespace trireme::kernels {
namespace {

// 6 x 4 accumulators, 4 vectors of B and one of A fill 29 of AVX-512's 32 registers; narrower
// machines have 16.
constexpr int kTileRows = 6;
constexpr int kTileVectors = kVecBytes == 64 ? 4 : 2;
// Rows of a panel of B: 256 x 64 floats are 64 KiB, an eighth of a small second-level cache.
constexpr int64_t kBlockInner = 256;

template <typename T, int Rows, int Vectors>
void tile(int64_t k, Operand<T> a, const T* b, int64_t b_row_stride, T* c, int64_t c_row_stride,
          Write write) {
  constexpr int64_t kL = kLanes<T>;
  Vec<T> sum[Rows][Vectors] = {};
  for (int64_t p = 0; p < k; ++p) {
    Vec<T> row[Vectors];
    for (int v = 0; v < Vectors; ++v) row[v] = load(b + v * kL);
    for (int i = 0; i < Rows; ++i) {
      const Vec<T> factor = broadcast(a.data[i * a.row_stride]);
      for (int v = 0; v < Vectors; ++v) sum[i][v] += factor * row[v];
    }
    a.data += a.col_stride;
    b += b_row_stride;
  }
  for (int i = 0; i < Rows; ++i) {
    for (int v = 0; v < Vectors; ++v) {
      T* to = c + i * c_row_stride + v * kL;
      store(to, write == Write::kAccumulate ? load(to) + sum[i][v] : sum[i][v]);
    }
  }
}

template <typename T, int Vectors>
void tile_rows(int64_t rows, int64_t k, Operand<T> a, const T* b, int64_t b_row_stride, T* c,
               int64_t c_row_stride, Write write) {
  static_assert(kTileRows == 6);
  switch (rows) {
    case 6:
      return tile<T, 6, Vectors>(k, a, b, b_row_stride, c, c_row_stride, write);
    case 5:
      return tile<T, 5, Vectors>(k, a, b, b_row_stride, c, c_row_stride, write);
    case 4:
      return tile<T, 4, Vectors>(k, a, b, b_row_stride, c, c_row_stride, write);
    case 3:
      return tile<T, 3, Vectors>(k, a, b, b_row_stride, c, c_row_stride, write);
    case 2:
      return tile<T, 2, Vectors>(k, a, b, b_row_stride, c, c_row_stride, write);
    default:
      return tile<T, 1, Vectors>(k, a, b, b_row_stride, c, c_row_stride, write);
  }
}

/// panel[k][width] = b[k][cols], zero beyond cols.
template <typename T>
void pack(int64_t k, int64_t cols, int64_t width, Operand<T> b, T* panel) {
  if (b.col_stride == 1) {
    for (int64_t p = 0; p < k; ++p) {
      T* to = panel + p * width;
      std::copy_n(b.at(p, 0), cols, to);
      std::fill(to + cols, to + width, T{0});
    }
    return;
  }
  if (cols < width) std::fill(panel, panel + k * width, T{0});
  for (int64_t j = 0; j < cols; ++j) {
    const T* from = b.at(0, j);
    for (int64_t p = 0; p < k; ++p) panel[p * width + j] = from[p * b.row_stride];
  }
}

/// All rows of one panel of at most Vectors vectors of columns.
template <typename T, int Vectors>
void panel_product(int64_t m, int64_t cols, int64_t k, Operand<T> a, Operand<T> b, T* c,
                   int64_t c_row_stride, Write write) {
  constexpr int64_t kWidth = Vectors * kLanes<T>;
  const bool ragged = cols < kWidth;
  const T* rows_of_b = b.data;
  int64_t b_row_stride = b.row_stride;
  // Reading rows of B in place is free while few tiles read them; many tiles want them dense.
  if (ragged || b.col_stride != 1 || m > 16 * kTileRows) {
    T* panel = scratch<T>(Scratch::kGemmPanel, kBlockInner * kTileVectors * kLanes<T>);
    pack(k, cols, kWidth, b, panel);
    rows_of_b = panel;
    b_row_stride = kWidth;
  }
  for (int64_t i = 0; i < m; i += kTileRows) {
    const int64_t rows = std::min<int64_t>(kTileRows, m - i);
    const Operand<T> part{a.at(i, 0), a.row_stride, a.col_stride};
    T* to = c + i * c_row_stride;
    if (!ragged) {
      tile_rows<T, Vectors>(rows, k, part, rows_of_b, b_row_stride, to, c_row_stride, write);
      continue;
    }
    alignas(kVecBytes) T whole[kTileRows * kWidth];
    tile_rows<T, Vectors>(rows, k, part, rows_of_b, b_row_stride, whole, kWidth, Write::kOverwrite);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t j = 0; j < cols; ++j) {
        T& element = to[r * c_row_stride + j];
        element = whole[r * kWidth + j] + (write == Write::kAccumulate ? element : T{0});
      }
    }
  }
}

template <typename T>
void any_gemm(int64_t m, int64_t n, int64_t k, Operand<T> a, Operand<T> b, T* c,
              int64_t c_row_stride, Write write) {
  if (k == 0 && write == Write::kOverwrite) {
    for (int64_t i = 0; i < m; ++i) std::fill_n(c + i * c_row_stride, n, T{0});
  }
  constexpr int64_t kWidth = kTileVectors * kLanes<T>;
  for (int64_t p = 0; p < k; p += kBlockInner) {
    const int64_t inner = std::min(kBlockInner, k - p);
    const Write mode = p == 0 ? write : Write::kAccumulate;
    const Operand<T> a_part{a.at(0, p), a.row_stride, a.col_stride};
    for (int64_t j = 0; j < n; j += kWidth) {
      const int64_t cols = std::min(kWidth, n - j);
      const Operand<T> b_part{b.at(p, j), b.row_stride, b.col_stride};
      if (cols <= kLanes<T>) {
        panel_product<T, 1>(m, cols, inner, a_part, b_part, c + j, c_row_stride, mode);
      } else if (cols <= 2 * kLanes<T>) {
        panel_product<T, 2>(m, cols, inner, a_part, b_part, c + j, c_row_stride, mode);
      } else {
        panel_product<T, kTileVectors>(m, cols, inner, a_part, b_part, c + j, c_row_stride, mode);
      }
    }
  }
}

}  // namespace

void gemm(int64_t m, int64_t n, int64_t k, Operand<float> a, Operand<float> b, float* c,
          int64_t c_row_stride, Write write) {
  any_gemm(m, n, k, a, b, c, c_row_stride, write);
}

void gemm(int64_t m, int64_t n, int64_t k, Operand<double> a, Operand<double> b, double* c,
          int64_t c_row_stride, Write write) {
  any_gemm(m, n, k, a, b, c, c_row_stride, write);
}

}  // namespace trireme::kernels

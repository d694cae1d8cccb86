// C = A B on the calling thread, any strides: the inner loop of attention, of small and batched
// products, and of f64, which oneDNN does not have.
//
// Register tiles of 6 rows by up to 4 vectors; the inner dimension is walked in blocks whose panel
// of B stays in the second-level cache. A is never copied, B only where its rows are not contiguous
// or ragged. Goto, van de Geijn, "Anatomy of high-performance matrix multiplication", 2008.

#pragma once

#include <cstdint>

namespace trireme::kernels {

enum class Write { kOverwrite, kAccumulate };

/// Element (i, j) lies at data[i * row_stride + j * col_stride].
template <typename T>
struct Operand {
  const T* data;
  int64_t row_stride;
  int64_t col_stride;

  const T* at(int64_t i, int64_t j) const { return data + i * row_stride + j * col_stride; }
};

/// c[m, n] (+)= a[m, k] b[k, n]; c has contiguous rows, c_row_stride apart. k = 0 gives zeros.
void gemm(int64_t m, int64_t n, int64_t k, Operand<float> a, Operand<float> b, float* c,
          int64_t c_row_stride, Write write);
void gemm(int64_t m, int64_t n, int64_t k, Operand<double> a, Operand<double> b, double* c,
          int64_t c_row_stride, Write write);

}  // namespace trireme::kernels

#include "kernels/gelu_gradient.h"

#include <algorithm>

#include "kernels/functors.h"
#include "kernels/half_rows.h"
#include "kernels/rows.h"

namespace trireme::kernels {
namespace {

/// dx = dy gelu'(x) for n elements, in the arithmetic of the kernel; dx may be dy.
template <typename A>
void gelu_gradient_row(const A* x, const A* dy, A* dx, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) dx[i] = GeluTanh{}.grad(dy[i], x[i]);
}

/// Writes n elements to `dx` and adds them to `sums`.
template <typename T>
void add_row(const Acc<T>* from, T* dx, Acc<T>* sums, int64_t n) {
  each_vector<Acc<T>>(n, [&](int64_t i, auto part) {
    const Vec<T> d = part.load(from + i);
    part.store(dx + i, d);
    part.store(sums + i, part.load(sums + i) + d);
  });
}

}  // namespace

template <typename T>
void gelu_bias_gradient(Cpu, MatrixView<const T> x, MatrixView<const T> dy, MatrixView<T> dx,
                        T* dbias) {
  using A = Acc<T>;
  // The rows are cut the same way for any number of threads; each piece sums on its own.
  constexpr int64_t kMostPieces = 32, kLeastRows = 16, kBlock = 256;
  const int64_t rows = x.rows, cols = x.cols;
  const int64_t pieces = std::clamp<int64_t>(rows / kLeastRows, 1, kMostPieces);
  A* partials = scratch<A>(Scratch::kPartials, pieces * cols);
  parallel_for(pieces, rows * cols <= kSerialElements ? pieces : 1,
               [&](int64_t begin, int64_t end) {
                 alignas(kVecBytes) A wide_x[kBlock], wide_dy[kBlock];
                 for (int64_t p = begin; p < end; ++p) {
                   A* sums = partials + p * cols;
                   std::fill_n(sums, cols, A{0});
                   for (int64_t r = rows * p / pieces; r < rows * (p + 1) / pieces; ++r) {
                     for (int64_t c = 0; c < cols; c += kBlock) {
                       const int64_t n = std::min(kBlock, cols - c);
                       convert_row(wide_x, x.row(r) + c, n);
                       convert_row(wide_dy, dy.row(r) + c, n);
                       gelu_gradient_row(wide_x, wide_dy, wide_dy, n);
                       add_row(wide_dy, dx.row(r) + c, sums + c, n);
                     }
                   }
                 }
               });
  for (int64_t p = 1; p < pieces; ++p) {
    const A* from = partials + p * cols;
    for (int64_t c = 0; c < cols; ++c) partials[c] += from[c];
  }
  convert_row(dbias, partials, cols);
}

#define TRIREME_INSTANTIATE(T) \
  template void gelu_bias_gradient(Cpu, MatrixView<const T>, MatrixView<const T>, MatrixView<T>, T*)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels

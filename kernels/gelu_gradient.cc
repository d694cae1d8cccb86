#include "kernels/gelu_gradient.h"

#include <algorithm>

#include "kernels/half_rows.h"
#include "kernels/pointwise_lanes.h"
#include "kernels/rows.h"

namespace trireme::kernels {
namespace {

/// dx = dy gelu'(x) for n elements, which are added to `sums` before they are rounded; dx may be
/// dy. Never inlined: inside a parallel region GCC would leave calls in the loop.
template <typename T>
[[gnu::noinline]] void gradient_row(const T* x, const T* dy, T* dx, Acc<T>* sums, int64_t n) {
  each_vector<T>(n, [&](int64_t i, auto part) {
    const Vec<T> d = detail::in_lanes<T>(GradOf<GeluTanh>{}, part.load(dy + i), part.load(x + i));
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
  constexpr int64_t kMostPieces = 32, kLeastRows = 16;
  const int64_t rows = x.rows, cols = x.cols;
  const int64_t pieces = std::clamp<int64_t>(rows / kLeastRows, 1, kMostPieces);
  A* partials = scratch<A>(Scratch::kPartials, pieces * cols);
  parallel_for(pieces, rows * cols <= kSerialElements ? pieces : 1,
               [&](int64_t begin, int64_t end) {
                 for (int64_t p = begin; p < end; ++p) {
                   A* sums = partials + p * cols;
                   std::fill_n(sums, cols, A{0});
                   for (int64_t r = rows * p / pieces; r < rows * (p + 1) / pieces; ++r) {
                     gradient_row(x.row(r), dy.row(r), dx.row(r), sums, cols);
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

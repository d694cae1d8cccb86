#include "kernels/rms_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/half_rows.h"
#include "kernels/rows.h"

namespace trireme::kernels {
namespace {

template <typename T>
struct Backward {
  using A = Acc<T>;
  MatrixView<const T> x;
  const T* gamma;
  const A* rstd;
  MatrixView<const T> dy;
  MatrixView<T> dx;

  /// One row's dx; adds its share of dgamma to `gamma_sum` (null: not wanted).
  void row(int64_t r, A* gamma_sum) const {
    const T *from = x.row(r), *g = dy.row(r);
    const A scale = rstd[r];
    Vec<T> sum_gx = {};
    each_vector<T>(x.cols, [&](int64_t i, auto part) {
      const Vec<T> xhat = part.load(from + i) * scale, d = part.load(g + i);
      if (gamma_sum) part.store(gamma_sum + i, part.load(gamma_sum + i) + d * xhat);
      sum_gx += (gamma ? d * part.load(gamma + i) : d) * xhat;
    });
    if (!dx.data) return;
    const A mean_gx = sum_of_lanes<T>(sum_gx) / static_cast<A>(x.cols);
    T* to = dx.row(r);
    each_vector<T>(x.cols, [&](int64_t i, auto part) {
      const Vec<T> xhat = part.load(from + i) * scale, d = part.load(g + i);
      const Vec<T> weighted = gamma ? d * part.load(gamma + i) : d;
      part.store(to + i, (weighted - xhat * mean_gx) * scale);
    });
  }
};

}  // namespace

template <typename T>
void rms_norm(Cpu, MatrixView<const T> x, const T* gamma, double eps, MatrixView<T> y,
              Acc<T>* rstd) {
  using A = Acc<T>;
  const A per_col = A{1} / static_cast<A>(x.cols);
  each_row(x.rows, x.cols, [&](int64_t r) {
    const T* from = x.row(r);
    T* to = y.row(r);
    Vec<T> squares = {};
    each_vector<T>(x.cols, [&](int64_t i, auto part) {
      const Vec<T> v = part.load(from + i);
      squares += v * v;
    });
    const A scale = 1 / std::sqrt(sum_of_lanes<T>(squares) * per_col + static_cast<A>(eps));
    each_vector<T>(x.cols, [&](int64_t i, auto part) {
      Vec<T> v = part.load(from + i) * scale;
      if (gamma) v *= part.load(gamma + i);
      part.store(to + i, v);
    });
    rstd[r] = scale;
  });
}

template <typename T>
void rms_norm_backward(Cpu, MatrixView<const T> x, const T* gamma, const Acc<T>* rstd,
                       MatrixView<const T> dy, MatrixView<T> dx, T* dgamma) {
  using A = Acc<T>;
  const Backward<T> b{x, gamma, rstd, dy, dx};
  const int64_t rows = x.rows, cols = x.cols;
  // The rows are cut the same way for any number of threads; each piece sums on its own.
  constexpr int64_t kMostPieces = 32, kLeastRows = 16;
  const int64_t pieces = std::clamp<int64_t>(rows / kLeastRows, 1, kMostPieces);
  A* partials = dgamma ? scratch<A>(Scratch::kPartials, pieces * cols) : nullptr;
  parallel_for(pieces, rows * cols <= kSerialElements ? pieces : 1,
               [&](int64_t begin, int64_t end) {
                 for (int64_t p = begin; p < end; ++p) {
                   A* sum = dgamma ? partials + p * cols : nullptr;
                   if (sum) std::fill_n(sum, cols, A{0});
                   const int64_t last = rows * (p + 1) / pieces;
                   for (int64_t r = rows * p / pieces; r < last; ++r) b.row(r, sum);
                 }
               });
  if (!dgamma) return;
  for (int64_t p = 1; p < pieces; ++p) {
    for (int64_t c = 0; c < cols; ++c) partials[c] += partials[p * cols + c];
  }
  convert_row(dgamma, partials, cols);
}

#define TRIREME_INSTANTIATE(T)                                                                \
  template void rms_norm(Cpu, MatrixView<const T>, const T*, double, MatrixView<T>, Acc<T>*); \
  template void rms_norm_backward(Cpu, MatrixView<const T>, const T*, const Acc<T>*,          \
                                  MatrixView<const T>, MatrixView<T>, T*)
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels

#include "kernels/layer_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/half_rows.h"
#include "kernels/rows.h"
#include "kernels/stream_store.h"

namespace trireme::kernels {
namespace {

template <typename T>
void any_layer_norm(MatrixView<const T> x, const T* gamma, const T* beta, double eps,
                    MatrixView<T> y, Acc<T>* mean, Acc<T>* rstd) {
  using A = Acc<T>;
  const A per_col = A{1} / static_cast<A>(x.cols);
  each_row_into(y, [&](int64_t r, T* to) {
    const T* from = x.row(r);
    Vec<T> sum = {};
    each_vector<T>(x.cols, [&](int64_t i, auto part) { sum += part.load(from + i); });
    const A center = sum_of_lanes<T>(sum) * per_col;
    // Deviations from the mean, not E[x^2] - mean^2: that loses all digits when the mean is large.
    Vec<T> squares = {};
    each_vector<T>(x.cols, [&](int64_t i, auto part) {
      const Vec<T> d = part.load(from + i, center) - center;
      squares += d * d;
    });
    const A scale = 1 / std::sqrt(sum_of_lanes<T>(squares) * per_col + static_cast<A>(eps));
    each_vector<T>(x.cols, [&](int64_t i, auto part) {
      Vec<T> v = (part.load(from + i) - center) * scale;
      if (gamma) v *= part.load(gamma + i);
      if (beta) v += part.load(beta + i);
      part.store(to + i, v);
    });
    mean[r] = center;
    rstd[r] = scale;
  });
}

template <typename T>
struct Backward {
  using A = Acc<T>;
  MatrixView<const T> x;
  const T* gamma;
  const A *mean, *rstd;
  MatrixView<const T> dy;
  MatrixView<T> dx;

  /// One row's dx, written to `to`; adds its share to the sums. Null: not wanted.
  void row(int64_t r, T* to, A* gamma_sum, A* beta_sum) const {
    const T *from = x.row(r), *g = dy.row(r);
    const A center = mean[r], scale = rstd[r];
    Vec<T> sum_g = {}, sum_gx = {};
    each_vector<T>(x.cols, [&](int64_t i, auto part) {
      const Vec<T> xhat = (part.load(from + i) - center) * scale, d = part.load(g + i);
      if (gamma_sum) part.store(gamma_sum + i, part.load(gamma_sum + i) + d * xhat);
      if (beta_sum) part.store(beta_sum + i, part.load(beta_sum + i) + d);
      const Vec<T> weighted = gamma ? d * part.load(gamma + i) : d;
      sum_g += weighted;
      sum_gx += weighted * xhat;
    });
    if (!to) return;
    const A mean_g = sum_of_lanes<T>(sum_g) / static_cast<A>(x.cols);
    const A mean_gx = sum_of_lanes<T>(sum_gx) / static_cast<A>(x.cols);
    each_vector<T>(x.cols, [&](int64_t i, auto part) {
      const Vec<T> xhat = (part.load(from + i) - center) * scale, d = part.load(g + i);
      const Vec<T> weighted = gamma ? d * part.load(gamma + i) : d;
      part.store(to + i, (weighted - mean_g - xhat * mean_gx) * scale);
    });
  }
};

template <typename T>
void any_layer_norm_backward(const Backward<T>& b, T* dgamma, T* dbeta) {
  const int64_t rows = b.x.rows, cols = b.x.cols;
  // The rows are cut the same way for any number of threads; each piece sums on its own.
  constexpr int64_t kMostPieces = 32, kLeastRows = 16;
  const int64_t pieces = std::clamp<int64_t>(rows / kLeastRows, 1, kMostPieces);
  using A = Acc<T>;
  A* partials = scratch<A>(Scratch::kPartials, 2 * pieces * cols);
  const bool streams = b.dx.data && rows_past_cache<T>(rows, cols);
  const auto begin_of = [&](int64_t piece) { return rows * piece / pieces; };
  parallel_for(pieces, rows * cols <= kSerialElements ? pieces : 1,
               [&](int64_t begin, int64_t end) {
                 const RowOutput<T> output(streams, cols);
                 for (int64_t p = begin; p < end; ++p) {
                   A *gamma_sum = nullptr, *beta_sum = nullptr;
                   if (dgamma) gamma_sum = partials + 2 * p * cols;
                   if (dbeta) beta_sum = partials + (2 * p + 1) * cols;
                   if (gamma_sum) std::fill_n(gamma_sum, cols, A{0});
                   if (beta_sum) std::fill_n(beta_sum, cols, A{0});
                   for (int64_t r = begin_of(p); r < begin_of(p + 1); ++r) {
                     T* dx = b.dx.data ? b.dx.row(r) : nullptr;
                     b.row(r, output.place_for(dx), gamma_sum, beta_sum);
                     output.wrote(dx);
                   }
                 }
               });
  const auto gather = [&](T* to, int64_t offset) {
    A* sums = partials + offset;
    for (int64_t p = 1; p < pieces; ++p) {
      const A* from = sums + 2 * p * cols;
      for (int64_t c = 0; c < cols; ++c) sums[c] += from[c];
    }
    convert_row(to, sums, cols);
  };
  if (dgamma) gather(dgamma, 0);
  if (dbeta) gather(dbeta, cols);
}

}  // namespace

template <typename T>
void layer_norm(Cpu, MatrixView<const T> x, const T* gamma, const T* beta, double eps,
                MatrixView<T> y, Acc<T>* mean, Acc<T>* rstd) {
  any_layer_norm(x, gamma, beta, eps, y, mean, rstd);
}

template <typename T>
void layer_norm_backward(Cpu, MatrixView<const T> x, const T* gamma, const Acc<T>* mean,
                         const Acc<T>* rstd, MatrixView<const T> dy, MatrixView<T> dx, T* dgamma,
                         T* dbeta) {
  any_layer_norm_backward<T>({x, gamma, mean, rstd, dy, dx}, dgamma, dbeta);
}

#define TRIREME_INSTANTIATE(T)                                                                  \
  template void layer_norm(Cpu, MatrixView<const T>, const T*, const T*, double, MatrixView<T>, \
                           Acc<T>*, Acc<T>*);                                                   \
  template void layer_norm_backward(Cpu, MatrixView<const T>, const T*, const Acc<T>*,          \
                                    const Acc<T>*, MatrixView<const T>, MatrixView<T>, T*, T*)
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels

// Layer norm on the CPU, for the ops that contain it: a row, and the gradients of all rows. Where
// mean is null, it is the norm by the root mean square.
//
// Low is the type of what a product reads behind the norm and returns to it; it may be narrower
// than T, that of what is normalised.

#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/half_rows.h"
#include "kernels/rows.h"
#include "kernels/stream_store.h"

namespace trireme::kernels {

/// y = layer_norm(x) of `cols` elements; gamma and beta may be null. The row stays in the cache
/// between its three passes.
template <typename T, typename Low>
void normalise_row(const T* x, int64_t cols, const T* gamma, const T* beta, double eps, Low* y,
                   Acc<T>* mean, Acc<T>* rstd) {
  using A = Acc<T>;
  const A per_col = A{1} / static_cast<A>(cols);
  A center = 0;
  if (mean) {
    Vec<T> sum = {};
    each_vector<T>(cols, [&](int64_t i, auto part) { sum += part.load(x + i); });
    *mean = center = sum_of_lanes<T>(sum) * per_col;
  }
  // Deviations from the mean, not E[x^2] - mean^2: that loses all digits when the mean is large.
  Vec<T> squares = {};
  each_vector<T>(cols, [&](int64_t i, auto part) {
    const Vec<T> d = part.load(x + i, center) - center;
    squares += d * d;
  });
  const A scale = 1 / std::sqrt(sum_of_lanes<T>(squares) * per_col + static_cast<A>(eps));
  each_vector<T>(cols, [&](int64_t i, auto part) {
    Vec<T> v = (part.load(x + i) - center) * scale;
    if (gamma) v *= part.load(gamma + i);
    if (beta) v += part.load(beta + i);
    part.store(y + i, v);
  });
  *rstd = scale;
}

/// What the gradients of a layer norm of x are made of.
template <typename T, typename Low = T>
struct NormGradient {
  using A = Acc<T>;

  MatrixView<const T> x;
  const T* gamma;  // may be null
  const A* mean;   // null: by the root mean square
  const A* rstd;
  MatrixView<const Low> dy;
  MatrixView<const T> carried;  // added to dx; data null: nothing
  MatrixView<T> dx;             // data null: not wanted
  MatrixView<Low> low_dx;       // dx once more, rounded; data null: not wanted

  /// dx, and over all rows dgamma and dbeta (null: not wanted).
  void run(T* dgamma, T* dbeta) const {
    // The rows are cut the same way for any number of threads; each piece sums on its own.
    constexpr int64_t kMostPieces = 32, kLeastRows = 16;
    const int64_t rows = x.rows, cols = x.cols;
    const int64_t pieces = std::clamp<int64_t>(rows / kLeastRows, 1, kMostPieces);
    A* partials = scratch<A>(Scratch::kPartials, 2 * pieces * cols);
    const bool streams = dx.data && rows_past_cache<T>(rows, cols);
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
                       T* to = dx.data ? dx.row(r) : nullptr;
                       row(r, output.place_for(to), gamma_sum, beta_sum);
                       output.wrote(to);
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

 private:
  /// One row's dx, written to `to`; adds its share to the sums. Null: not wanted.
  void row(int64_t r, T* to, A* gamma_sum, A* beta_sum) const {
    const T* from = x.row(r);
    const Low* g = dy.row(r);
    const A center = mean ? mean[r] : 0, scale = rstd[r];
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
    const A mean_g = mean ? sum_of_lanes<T>(sum_g) / static_cast<A>(x.cols) : 0;
    const A mean_gx = sum_of_lanes<T>(sum_gx) / static_cast<A>(x.cols);
    const T* more = carried.data ? carried.row(r) : nullptr;
    Low* low = low_dx.data ? low_dx.row(r) : nullptr;
    each_vector<T>(x.cols, [&](int64_t i, auto part) {
      const Vec<T> xhat = (part.load(from + i) - center) * scale, d = part.load(g + i);
      const Vec<T> weighted = gamma ? d * part.load(gamma + i) : d;
      Vec<T> v = (weighted - mean_g - xhat * mean_gx) * scale;
      if (more) v += part.load(more + i);
      part.store(to + i, v);
      if (low) part.store(low + i, v);
    });
  }
};

}  // namespace trireme::kernels

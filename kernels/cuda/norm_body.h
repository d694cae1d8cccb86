// Layer normalisation of one row and its gradient, by one group; with the residual addition in
// front of it where that is fused. Without a mean it is the norm by the root mean square.

#pragma once

#include <cmath>

#include "kernels/cuda/group.h"
#include "kernels/cuda/row.h"

namespace trireme::kernels {

/// What the forward kernels read and write; pointers to rows are those of row 0.
template <typename T>
struct NormForward {
  const T* x;
  int64_t x_stride;
  const T* residual;  // null: none. Else x + residual is written to `sum` and normalised
  int64_t residual_stride;
  T* sum;
  int64_t sum_stride;
  const T* gamma;  // null: 1
  const T* beta;   // null: 0
  Acc<T> eps;
  T* y;
  int64_t y_stride;
  Acc<T>* mean;  // null: by the root mean square
  Acc<T>* rstd;
  int64_t rows, cols;
};

/// values = v (value - center) * scale * gamma + beta for one pack.
template <int W, typename T>
TRIREME_HD inline void apply_factors(const T* gamma, const T* beta, int64_t c, Acc<T> (&v)[W]) {
  Acc<T> factor[W];
  if (gamma) {
    load_values<W>(gamma + c, factor);
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) v[k] *= factor[k];
  }
  if (beta) {
    load_values<W>(beta + c, factor);
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) v[k] += factor[k];
  }
}

/// Three passes over the row: mean, squared deviations from it, result. Store is Held or Streamed.
template <typename Store, int W, typename T, typename Group>
TRIREME_HD void layer_norm_row(const Group& group, const NormForward<T>& n, int64_t r) {
  using A = Acc<T>;
  typename Store::template Row<T, W> row;
  const T* x = n.x + r * n.x_stride;
  if (n.residual) {
    row.load_sum(group, x, n.residual + r * n.residual_stride, n.sum + r * n.sum_stride, n.cols);
  } else {
    row.load(group, x, n.cols);
  }
  const auto each = [&](const auto& fn) {
    Store::template each<W>(group, n.cols, [&](int i, int64_t c) {
      A v[W];
      widen(row.get(i, c), v);
      fn(c, v);
    });
  };
  const A per_col = A(1) / static_cast<A>(n.cols);
  A center = 0;
  if (n.mean) {
    A sum = 0;
    each([&](int64_t, A(&v)[W]) {
      TRIREME_UNROLL
      for (int k = 0; k < W; ++k) sum += v[k];
    });
    center = group_sum(group, sum) * per_col;
  }
  // Deviations from the mean, not E[x^2] - mean^2: that loses all digits when the mean is large.
  A squares = 0;
  each([&](int64_t, A(&v)[W]) {
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) squares += (v[k] - center) * (v[k] - center);
  });
  const A scale = A(1) / std::sqrt(group_sum(group, squares) * per_col + n.eps);
  T* y = n.y + r * n.y_stride;
  each([&](int64_t c, A(&v)[W]) {
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) v[k] = (v[k] - center) * scale;
    apply_factors<W>(n.gamma, n.beta, c, v);
    store_values<W>(y + c, v);
  });
  if (group.rank() == 0) {
    if (n.mean) n.mean[r] = center;
    n.rstd[r] = scale;
  }
}

/// What the backward kernels read and write.
template <typename T>
struct NormBackward {
  const T* x;
  int64_t x_stride;
  const T* gamma;      // null: 1
  const Acc<T>* mean;  // null: by the root mean square
  const Acc<T>* rstd;
  const T* dy;
  int64_t dy_stride;
  const T* dsum;  // null, or added to dx: what the residual stream already carries
  int64_t dsum_stride;
  T* dx;  // null: not wanted
  int64_t dx_stride;
  int64_t rows, cols;

  TRIREME_HD Acc<T> center(int64_t r) const { return mean ? mean[r] : Acc<T>(0); }
};

/// What a member adds up over its rows for its columns: dy xhat and dy.
template <typename A, int kValues>
struct NormSums {
  A gamma[kValues] = {};
  A beta[kValues] = {};
};
struct NoSums {};

/// dx of row r; adds to `sums` at [i * W + k] the shares of the member's i-th pack.
template <typename Store, int W, typename T, typename Group, typename Sums>
TRIREME_HD void layer_norm_backward_row(const Group& group, const NormBackward<T>& n, int64_t r,
                                        Sums& sums) {
  using A = Acc<T>;
  typename Store::template Row<T, W> x, dy;
  x.load(group, n.x + r * n.x_stride, n.cols);
  dy.load(group, n.dy + r * n.dy_stride, n.cols);
  const A center = n.center(r), scale = n.rstd[r];
  // fn(i, c, xhat, dy, g) with g = dy gamma.
  const auto each = [&](const auto& fn) {
    Store::template each<W>(group, n.cols, [&](int i, int64_t c) {
      A xhat[W], d[W], g[W];
      widen(x.get(i, c), xhat);
      widen(dy.get(i, c), d);
      TRIREME_UNROLL
      for (int k = 0; k < W; ++k) {
        xhat[k] = (xhat[k] - center) * scale;
        g[k] = d[k];
      }
      apply_factors<W, T>(n.gamma, nullptr, c, g);
      fn(i, c, xhat, d, g);
    });
  };
  Two<A> part{0, 0};
  each([&](int i, int64_t, A(&xhat)[W], A(&d)[W], A(&g)[W]) {
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) {
      part.first += g[k];
      part.second += g[k] * xhat[k];
      if constexpr (!std::is_same_v<Sums, NoSums>) {
        sums.gamma[i * W + k] += d[k] * xhat[k];
        sums.beta[i * W + k] += d[k];
      }
    }
  });
  if (!n.dx) return;
  const Two<A> total = group_sum(group, part);
  const A per_col = A(1) / static_cast<A>(n.cols);
  const A mean_g = n.mean ? total.first * per_col : A(0), mean_gx = total.second * per_col;
  T* dx = n.dx + r * n.dx_stride;
  const T* dsum = n.dsum ? n.dsum + r * n.dsum_stride : nullptr;
  each([&](int, int64_t c, A(&xhat)[W], A(&)[W], A(&g)[W]) {
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) g[k] = (g[k] - mean_g - xhat[k] * mean_gx) * scale;
    apply_factors<W, T>(nullptr, dsum, c, g);
    store_values<W>(dx + c, g);
  });
}

}  // namespace trireme::kernels

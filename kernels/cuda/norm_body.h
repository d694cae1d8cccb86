// Layer normalisation of one row and its gradient, by one group; with the residual addition in
// front of it where that is fused. Without a mean it is the norm by the root mean square.

#pragma once

#include <cmath>

#include "kernels/cuda/group.h"
#include "kernels/cuda/row.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// What the forward kernels read and write. Low is T, or the 16-bit type of the products in front
/// of and behind a norm of f32.
template <typename T, typename Low = T>
struct NormForward {
  static_assert(std::is_same_v<Acc<T>, Acc<Low>>);
  MatrixView<const T> x;
  MatrixView<const Low> branch;  // data null: none. Else x + branch goes to `sum` and is normalised
  MatrixView<T> sum;
  const T* gamma;  // null: 1
  const T* beta;   // null: 0
  Acc<T> eps;
  MatrixView<Low> y;
  Acc<T>* mean;  // null: by the root mean square
  Acc<T>* rstd;
};

/// Row r of a matrix.
template <typename T>
TRIREME_HD inline T* row_of(const MatrixView<T>& x, int64_t r) {
  return x.data + r * x.row_stride;
}

/// What layer_norm_row reads of one row. Store is Held or Streamed.
template <typename Store, int W, typename T, typename Low>
struct NormForwardRow {
  typename Store::template Row<T, W> x;
  typename Store::template Row<Low, W> branch;

  template <typename Group>
  TRIREME_HD void load(const Group& group, const NormForward<T, Low>& n, int64_t r) {
    x.load(group, row_of(n.x, r), n.x.cols);
    if (n.branch.data) branch.load(group, row_of(n.branch, r), n.x.cols);
  }
};

/// Calls fn(r, row) for the rows first, first + step, ... where `row` has been loaded. kAhead: the
/// next row is on its way while fn works on one.
template <bool kAhead, typename Row, typename Group, typename Norm, typename Fn>
TRIREME_HD inline void each_norm_row(const Group& group, const Norm& n, int64_t first, int64_t step,
                                     const Fn& fn) {
  Row row{};
  if constexpr (kAhead) {
    Row next{};
    if (first < n.x.rows) next.load(group, n, first);
    for (int64_t r = first; r < n.x.rows; r += step) {
      row = next;
      if (r + step < n.x.rows) next.load(group, n, r + step);
      fn(r, row);
    }
  } else {
    for (int64_t r = first; r < n.x.rows; r += step) {
      row.load(group, n, r);
      fn(r, row);
    }
  }
}

/// v = v * gamma + beta for one pack.
template <int W, typename T>
TRIREME_HD inline void apply_factors(const T* gamma, const T* beta, int64_t c, Acc<T> (&v)[W]) {
  Acc<T> factor[W];
  if (gamma) {
    widen(load_held<W>(gamma + c), factor);
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) v[k] *= factor[k];
  }
  if (beta) {
    widen(load_held<W>(beta + c), factor);
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) v[k] += factor[k];
  }
}

/// Row r, which has been loaded: three passes, mean, squared deviations from it, result.
template <typename Store, int W, typename T, typename Low, typename Group>
TRIREME_HD void layer_norm_row(const Group& group, const NormForward<T, Low>& n, int64_t r,
                               NormForwardRow<Store, W, T, Low>& row) {
  using A = Acc<T>;
  const int64_t cols = n.x.cols;
  if (n.branch.data) row.x.add(group, row.branch, row_of(n.sum, r), cols);
  const auto each = [&](const auto& fn) {
    Store::template each<W>(group, cols, [&](int i, int64_t c) {
      A v[W];
      widen(row.x.get(i, c), v);
      fn(c, v);
    });
  };
  const A per_col = A(1) / static_cast<A>(cols);
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
  Low* y = row_of(n.y, r);
  each([&](int64_t c, A(&v)[W]) {
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) v[k] = (v[k] - center) * scale;
    apply_factors<W>(n.gamma, n.beta, c, v);
    store_held(y + c, narrow_held<Low, W>(v));
  });
  if (group.rank() == 0) {
    if (n.mean) n.mean[r] = center;
    n.rstd[r] = scale;
  }
}

/// What the backward kernels read and write.
template <typename T, typename Low = T>
struct NormBackward {
  static_assert(std::is_same_v<Acc<T>, Acc<Low>>);
  MatrixView<const T> x;
  const T* gamma;      // null: 1
  const Acc<T>* mean;  // null: by the root mean square
  const Acc<T>* rstd;
  MatrixView<const Low> dy;
  MatrixView<const T> dsum;  // data null, or added to dx: what the residual stream already carries
  MatrixView<T> dx;          // data null: not wanted
  MatrixView<Low> dx_low;    // dx once more, rounded; data null: not wanted

  TRIREME_HD Acc<T> center(int64_t r) const { return mean ? mean[r] : Acc<T>(0); }
};

/// What layer_norm_backward_row reads of one row.
template <typename Store, int W, typename T, typename Low>
struct NormBackwardRow {
  typename Store::template Row<T, W> x, dsum;
  typename Store::template Row<Low, W> dy;
  Acc<T> center, scale;

  template <typename Group>
  TRIREME_HD void load(const Group& group, const NormBackward<T, Low>& n, int64_t r) {
    center = n.center(r);
    scale = n.rstd[r];
    x.load(group, row_of(n.x, r), n.x.cols);
    dy.load(group, row_of(n.dy, r), n.x.cols);
    if (n.dsum.data) dsum.load(group, row_of(n.dsum, r), n.x.cols);
  }
};

/// What a member adds up over its rows for its columns: dy xhat and dy.
template <typename A, int kValues>
struct NormSums {
  A gamma[kValues] = {};
  A beta[kValues] = {};
};
struct NoSums {};

/// dx of row r, which has been loaded; adds to `sums` at [i * W + k] the shares of the member's
/// i-th pack.
template <typename Store, int W, typename T, typename Low, typename Group, typename Sums>
TRIREME_HD void layer_norm_backward_row(const Group& group, const NormBackward<T, Low>& n,
                                        int64_t r, NormBackwardRow<Store, W, T, Low>& row,
                                        Sums& sums) {
  using A = Acc<T>;
  const int64_t cols = n.x.cols;
  // fn(i, c, xhat, dy, g) with g = dy gamma.
  const auto each = [&](const auto& fn) {
    Store::template each<W>(group, cols, [&](int i, int64_t c) {
      A xhat[W], d[W], g[W];
      widen(row.x.get(i, c), xhat);
      widen(row.dy.get(i, c), d);
      TRIREME_UNROLL
      for (int k = 0; k < W; ++k) {
        xhat[k] = (xhat[k] - row.center) * row.scale;
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
  if (!n.dx.data) return;
  if constexpr (!std::is_same_v<Store, Streamed>) {
    row.x.renew();
    row.dy.renew();
  }
  const Two<A> total = group_sum(group, part);
  const A per_col = A(1) / static_cast<A>(cols);
  const A mean_g = n.mean ? total.first * per_col : A(0), mean_gx = total.second * per_col;
  T* dx = row_of(n.dx, r);
  Low* dx_low = n.dx_low.data ? row_of(n.dx_low, r) : nullptr;
  each([&](int i, int64_t c, A(&xhat)[W], A(&more)[W], A(&g)[W]) {
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) g[k] = (g[k] - mean_g - xhat[k] * mean_gx) * row.scale;
    if (n.dsum.data) {
      widen(row.dsum.get(i, c), more);
      TRIREME_UNROLL
      for (int k = 0; k < W; ++k) g[k] += more[k];
    }
    store_held(dx + c, narrow_held<T, W>(g));
    if constexpr (!std::is_same_v<T, Low>) {
      if (dx_low) store_held(dx_low + c, narrow_held<Low, W>(g));
    }
  });
}

}  // namespace trireme::kernels

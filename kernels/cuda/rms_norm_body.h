// RMS normalisation of one row and its gradient, by one group.

#pragma once

#include <cmath>

#include "kernels/cuda/norm_body.h"

namespace trireme::kernels {

/// What the forward kernel reads and writes; pointers to rows are those of row 0.
template <typename T>
struct RmsForward {
  const T* x;
  int64_t x_stride;
  const T* gamma;  // null: 1
  Acc<T> eps;
  T* y;
  int64_t y_stride;
  Acc<T>* rstd;
  int64_t rows, cols;
};

template <typename Store, int W, typename T, typename Group>
TRIREME_HD void rms_norm_row(const Group& group, const RmsForward<T>& n, int64_t r) {
  using A = Acc<T>;
  typename Store::template Row<T, W> row;
  row.load(group, n.x + r * n.x_stride, n.cols);
  const auto each = [&](const auto& fn) {
    Store::template each<W>(group, n.cols, [&](int i, int64_t c) {
      A v[W];
      widen(row.get(i, c), v);
      fn(c, v);
    });
  };
  A squares = 0;
  each([&](int64_t, A(&v)[W]) {
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) squares += v[k] * v[k];
  });
  const A mean = group_sum(group, squares) / static_cast<A>(n.cols);
  const A scale = A(1) / std::sqrt(mean + n.eps);
  T* y = n.y + r * n.y_stride;
  each([&](int64_t c, A(&v)[W]) {
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) v[k] *= scale;
    apply_factors<W, T>(n.gamma, nullptr, c, v);
    store_values<W>(y + c, v);
  });
  if (group.rank() == 0) n.rstd[r] = scale;
}

template <typename T>
struct RmsBackward {
  const T* x;
  int64_t x_stride;
  const T* gamma;  // null: 1
  const Acc<T>* rstd;
  const T* dy;
  int64_t dy_stride;
  T* dx;
  int64_t dx_stride;
  int64_t rows, cols;
};

/// dx of row r.
template <typename Store, int W, typename T, typename Group>
TRIREME_HD void rms_norm_backward_row(const Group& group, const RmsBackward<T>& n, int64_t r) {
  using A = Acc<T>;
  typename Store::template Row<T, W> x, dy;
  x.load(group, n.x + r * n.x_stride, n.cols);
  dy.load(group, n.dy + r * n.dy_stride, n.cols);
  const A scale = n.rstd[r];
  // fn(c, xhat, g) with g = dy gamma.
  const auto each = [&](const auto& fn) {
    Store::template each<W>(group, n.cols, [&](int i, int64_t c) {
      A xhat[W], g[W];
      widen(x.get(i, c), xhat);
      widen(dy.get(i, c), g);
      TRIREME_UNROLL
      for (int k = 0; k < W; ++k) xhat[k] *= scale;
      apply_factors<W, T>(n.gamma, nullptr, c, g);
      fn(c, xhat, g);
    });
  };
  A products = 0;
  each([&](int64_t, A(&xhat)[W], A(&g)[W]) {
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) products += g[k] * xhat[k];
  });
  const A mean = group_sum(group, products) / static_cast<A>(n.cols);
  T* dx = n.dx + r * n.dx_stride;
  each([&](int64_t c, A(&xhat)[W], A(&g)[W]) {
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) g[k] = (g[k] - xhat[k] * mean) * scale;
    store_values<W>(dx + c, g);
  });
}

}  // namespace trireme::kernels

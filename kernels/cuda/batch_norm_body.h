// What one thread of batch normalisation does, for host and device: sums over rows of a few
// columns, and a pass over them with the columns' parameters in registers.
//
// Narrow dense matrices are seen as wider ones, several rows beside each other, so that all lanes
// of a warp have columns: column c of the wide matrix is column c % cols.

#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/batch_norm.h"
#include "kernels/cuda/column_geometry.h"
#include "kernels/cuda/pack.h"
#include "kernels/functors.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// Rows that lie beside each other in the wide form: a power of two that divides the rows, so that
/// a wide row fills at most a block's lanes.
inline int64_t rows_abreast(int64_t rows, int64_t cols, int64_t row_stride, int width) {
  int64_t abreast = 1;
  while (row_stride == cols && rows % (2 * abreast) == 0 &&
         2 * abreast * cols <= int64_t{kColumnLanes} * width) {
    abreast *= 2;
  }
  return abreast;
}

/// A first guess of column c's mean, from a few rows spread over the matrix: what is summed are
/// deviations from it, so that the sums keep their digits where the mean is large.
inline constexpr int64_t kSampledRows = 32;
template <typename T>
struct SampleBody {
  const T* x;
  int64_t rows, row_stride;
  Acc<T>* guess;
  template <int N>
  TRIREME_HD void run(int64_t c) const {
    const int64_t count = rows < kSampledRows ? rows : kSampledRows;
    Acc<T> sum = 0;
    for (int64_t i = 0; i < count; ++i) {
      sum += static_cast<Acc<T>>(x[i * rows / count * row_stride + c]);
    }
    guess[c] = sum / static_cast<Acc<T>>(count);
  }
};

/// sum(x - guess), sum((x - guess)^2).
template <typename T>
struct MomentTerms {
  static constexpr int kSums = 2;
  const T* x;
  int64_t row_stride, cols;
  const Acc<T>* guess;
  template <int W>
  TRIREME_HD void operator()(int64_t r, int64_t c, Acc<T> (&terms)[2][W]) const {
    Acc<T> shift[W];
    load_values<W>(x + r * row_stride + c, terms[0]);
    load_values<W>(guess + c % cols, shift);
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) {
      terms[0][k] -= shift[k];
      terms[1][k] = terms[0][k] * terms[0][k];
    }
  }
};

/// mean = guess + mean deviation; rstd from the mean squared deviation from the mean; moves
/// `running`. `sums` is [2, abreast, cols]; the guess lies in mean.
template <typename A>
struct MomentFinish {
  const A* sums;
  int64_t rows, cols, abreast;
  A eps;
  RunningMoments<A> running;
  A* mean;
  A* rstd;
  template <int N>
  TRIREME_HD void run(int64_t c) const {
    A sum = 0, squares = 0;
    for (int64_t j = 0; j < abreast; ++j) {
      sum += sums[j * cols + c];
      squares += sums[(abreast + j) * cols + c];
    }
    const A deviation = sum / static_cast<A>(rows);
    const A difference = squares / static_cast<A>(rows) - deviation * deviation;
    const A var = difference < 0 ? A(0) : difference;  // NaN stays
    const A center = mean[c] + deviation;
    mean[c] = center;
    rstd[c] = A(1) / std::sqrt(var + eps);
    if (running.mean) move_running(running, c, rows, center, var);
  }
};

/// Moves `running` by moments that are known.
template <typename A>
struct MoveRunningBody {
  RunningMoments<A> running;
  int64_t rows;
  A eps;
  const A* mean;
  const A* rstd;
  template <int N>
  TRIREME_HD void run(int64_t c) const {
    const A var = A(1) / (rstd[c] * rstd[c]) - eps;
    move_running(running, c, rows, mean[c], var < 0 ? A(0) : var);  // NaN stays
  }
};

/// dy xhat and dy.
template <typename T>
struct GradientTerms {
  static constexpr int kSums = 2;
  const T* x;
  const T* dy;
  int64_t x_stride, dy_stride, cols;
  const Acc<T>* mean;
  const Acc<T>* rstd;
  template <int W>
  TRIREME_HD void operator()(int64_t r, int64_t c, Acc<T> (&terms)[2][W]) const {
    load_values<W>(dy + r * dy_stride + c, terms[1]);
    multiply<W>(r, c, terms);
  }
  /// terms[0] = xhat terms[1].
  template <int W>
  TRIREME_HD void multiply(int64_t r, int64_t c, Acc<T> (&terms)[2][W]) const {
    Acc<T> shift[W], scale[W];
    load_values<W>(x + r * x_stride + c, terms[0]);
    load_values<W>(mean + c % cols, shift);
    load_values<W>(rstd + c % cols, scale);
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) terms[0][k] = (terms[0][k] - shift[k]) * scale[k] * terms[1][k];
  }
};

/// The same of g, which is dy where y is not 0 and written as it is summed.
template <typename T>
struct ReluGradientTerms {
  static constexpr int kSums = 2;
  GradientTerms<T> plain;
  const T* y;
  T* g;
  int64_t y_stride, g_stride;
  template <int W>
  TRIREME_HD void operator()(int64_t r, int64_t c, Acc<T> (&terms)[2][W]) const {
    Acc<T> result[W];
    load_values<W>(y + r * y_stride + c, result);
    load_values<W>(plain.dy + r * plain.dy_stride + c, terms[1]);
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) terms[1][k] = Relu{}.grad(terms[1][k], result[k]);
    store_values<W>(g + r * g_stride + c, terms[1]);
    plain.template multiply<W>(r, c, terms);
  }
};

template <int W, typename A>
TRIREME_HD void load_or(const A* from, int64_t c, A otherwise, A (&values)[W]) {
  if (from) return load_values<W>(from + c, values);
  for (int k = 0; k < W; ++k) values[k] = otherwise;
}

/// What is left of dy behind relu of the normalised values, whose factors are `scale` (with rstd)
/// and `shift`. NaN leaves dy.
template <typename A>
TRIREME_HD A before_relu(A x, A mean, A scale, A shift, A dy) {
  return (x - mean) * scale + shift <= 0 ? A(0) : dy;
}

/// The sums of that.
template <typename T>
struct BeforeReluTerms {
  static constexpr int kSums = 2;
  GradientTerms<T> plain;
  const Acc<T>* gamma;
  const Acc<T>* beta;
  template <int W>
  TRIREME_HD void operator()(int64_t r, int64_t c, Acc<T> (&terms)[2][W]) const {
    using A = Acc<T>;
    const int64_t column = c % plain.cols;
    A x[W], mean[W], rstd[W], weight[W], shift[W];
    load_values<W>(plain.x + r * plain.x_stride + c, x);
    load_values<W>(plain.dy + r * plain.dy_stride + c, terms[1]);
    load_values<W>(plain.mean + column, mean);
    load_values<W>(plain.rstd + column, rstd);
    load_or<W>(gamma, column, A(1), weight);
    load_or<W>(beta, column, A(0), shift);
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) {
      terms[1][k] = before_relu(x[k], mean[k], rstd[k] * weight[k], shift[k], terms[1][k]);
      terms[0][k] = (x[k] - mean[k]) * rstd[k] * terms[1][k];
    }
  }
};

/// Adds up the wide columns that are one column: sums [2, abreast, cols] -> first, second.
template <typename A>
struct FoldBody {
  const A* sums;
  int64_t cols, abreast;
  A* first;
  A* second;
  template <int N>
  TRIREME_HD void run(int64_t c) const {
    A a = 0, b = 0;
    for (int64_t j = 0; j < abreast; ++j) {
      a += sums[j * cols + c];
      b += sums[(abreast + j) * cols + c];
    }
    first[c] = a;
    second[c] = b;
  }
};

/// y = (x - mean) rstd gamma + beta.
template <typename T>
struct NormalizeBody {
  using A = Acc<T>;
  const T* x;
  T* y;
  int64_t x_stride, y_stride, cols;
  const A *mean, *rstd, *gamma, *beta;

  template <int W>
  struct Columns {
    A mean[W], scale[W], shift[W];
  };
  template <int W>
  TRIREME_HD Columns<W> columns(int64_t c) const {
    Columns<W> p;
    A weight[W];
    load_values<W>(mean + c % cols, p.mean);
    load_values<W>(rstd + c % cols, p.scale);
    load_or<W>(gamma, c % cols, A(1), weight);
    load_or<W>(beta, c % cols, A(0), p.shift);
    for (int k = 0; k < W; ++k) p.scale[k] *= weight[k];
    return p;
  }
  template <int W>
  TRIREME_HD void row(const Columns<W>& p, int64_t r, int64_t c) const {
    A v[W];
    normalised<W>(p, r, c, v);
    store_values<W>(y + r * y_stride + c, v);
  }
  template <int W>
  TRIREME_HD void normalised(const Columns<W>& p, int64_t r, int64_t c, A (&v)[W]) const {
    load_values<W>(x + r * x_stride + c, v);
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) v[k] = (v[k] - p.mean[k]) * p.scale[k] + p.shift[k];
  }
};

/// y = relu of that + residual, which may be null.
template <typename T>
struct NormalizeReluBody {
  using A = Acc<T>;
  NormalizeBody<T> plain;
  const T* residual;
  int64_t residual_stride;

  template <int W>
  TRIREME_HD auto columns(int64_t c) const {
    return plain.template columns<W>(c);
  }
  template <int W, typename Columns>
  TRIREME_HD void row(const Columns& p, int64_t r, int64_t c) const {
    A v[W], added[W];
    plain.template normalised<W>(p, r, c, v);
    if (residual) {
      load_values<W>(residual + r * residual_stride + c, added);
      TRIREME_UNROLL
      for (int k = 0; k < W; ++k) v[k] += added[k];
    }
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) v[k] = Relu{}(v[k]);
    store_values<W>(plain.y + r * plain.y_stride + c, v);
  }
};

/// dx = gamma rstd (dy - dbeta / rows - xhat dgamma / rows); with kRelu, of what is left of dy.
template <typename T, bool kRelu = false>
struct InputGradientBody {
  using A = Acc<T>;
  const T *x, *dy;
  T* dx;
  int64_t x_stride, dy_stride, dx_stride, cols, rows;
  const A *mean, *rstd, *gamma, *dgamma, *dbeta;
  const A* beta = nullptr;  // with kRelu

  template <int W>
  struct Columns {
    A mean[W], scale[W], slope[W], shift[W], beta[W];
  };
  template <int W>
  TRIREME_HD Columns<W> columns(int64_t c) const {
    Columns<W> p;
    A inverse[W], weight[W];
    const A per_row = A(1) / static_cast<A>(rows);
    load_values<W>(mean + c % cols, p.mean);
    load_values<W>(rstd + c % cols, inverse);
    load_values<W>(dgamma + c % cols, p.slope);
    load_values<W>(dbeta + c % cols, p.shift);
    load_or<W>(gamma, c % cols, A(1), weight);
    if constexpr (kRelu) load_or<W>(beta, c % cols, A(0), p.beta);
    for (int k = 0; k < W; ++k) {
      p.scale[k] = inverse[k] * weight[k];
      p.slope[k] *= inverse[k] * per_row;
      p.shift[k] *= per_row;
    }
    return p;
  }
  template <int W>
  TRIREME_HD void row(const Columns<W>& p, int64_t r, int64_t c) const {
    A v[W], g[W];
    load_values<W>(x + r * x_stride + c, v);
    load_values<W>(dy + r * dy_stride + c, g);
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) {
      if constexpr (kRelu) g[k] = before_relu(v[k], p.mean[k], p.scale[k], p.beta[k], g[k]);
      v[k] = (g[k] - p.shift[k] - (v[k] - p.mean[k]) * p.slope[k]) * p.scale[k];
    }
    store_values<W>(dx + r * dx_stride + c, v);
  }
};

/// One thread's rows of the block's chunk.
template <int W, typename Body>
TRIREME_HD void apply_chunk(const Body& body, const ColumnGeometry& g, int64_t block, int thread) {
  const int64_t c = g.first_column(block, thread % kColumnLanes, W);
  if (c >= g.cols) return;
  const auto columns = body.template columns<W>(c);
  const int64_t chunk = g.chunk_of(block), end = g.row_end(chunk);
  TRIREME_UNROLL
  for (int64_t r = g.row_begin(chunk) + thread / kColumnLanes; r < end; r += kColumnHeight) {
    body.template row<W>(columns, r, c);
  }
}

}  // namespace trireme::kernels

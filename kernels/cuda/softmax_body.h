// Softmax, log-softmax and their gradients for one row, by one group.
//
// The maximum and the sum of exponentials are found in one pass: when a larger element turns up,
// the sum so far is scaled down to it. Milakov, Gimelshein, "Online normalizer calculation for
// softmax", 2018.

#pragma once

#include <cmath>
#include <limits>

#include "kernels/cuda/group.h"
#include "kernels/cuda/row.h"
#include "kernels/vector_math.h"

namespace trireme::kernels {

/// e^x as exact as results in T can show: 16-bit ones round off what exp_approx errs.
template <typename T>
TRIREME_HD inline Acc<T> exp_for(Acc<T> x) {
  if constexpr (is_half<T>) {
    return vmath::exp_approx(x);
  } else {
    return vmath::exp(x);
  }
}

/// sum = sum of exp(v - most) over the elements so far, of a row of T.
template <typename T>
struct ExpSum {
  using A = Acc<T>;
  A most = -std::numeric_limits<A>::infinity();
  A sum = 0;

  template <int W>
  TRIREME_HD void add(const A (&v)[W]) {
    A larger = most;
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) larger = MaxOp{}(larger, v[k]);
    // While nothing is above -inf, exponents are relative to 0: -inf - -inf would be NaN.
    const A from = is_lowest(larger) ? A(0) : larger;
    if (larger != most) sum *= exp_for<T>(most - from);
    most = larger;
    // A NaN is lost to the maximum, but not to the sum.
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) sum += exp_for<T>(v[k] - from);
  }

  /// The sum over all members.
  template <typename Group>
  TRIREME_HD ExpSum over(const Group& group) const {
    ExpSum all;
    all.most = group_max(group, most);
    all.sum = group_sum(group, is_lowest(most) ? sum : sum * vmath::exp(most - all.most));
    return all;
  }

  TRIREME_HD A logsumexp() const { return most + vmath::log(sum); }
  /// logsumexp() - x with the digits that most + log(sum) loses where most is large.
  TRIREME_HD A logsumexp_less(A x) const { return vmath::log(sum) - (x - most); }

 private:
  TRIREME_HD static bool is_lowest(A x) { return x == -std::numeric_limits<A>::infinity(); }
};

template <typename T, int W, typename Group>
TRIREME_HD ExpSum<T> exp_sum_of_row(const Group& group, const T* x, int64_t cols) {
  ExpSum<T> part;
  each_ragged<W>(group, x, cols, [&](auto width, int64_t c) {
    Acc<T> v[width];
    load_values<width>(x + c, v);
    part.add(v);
  });
  return part.over(group);
}

/// y = fn(x) for one row; y may be x. Other arrays of a row must be congruent to its first, here
/// and below.
template <typename T, int W, typename Group, typename Fn>
TRIREME_HD void map_row(const Group& group, const T* x, T* y, int64_t cols, const Fn& fn) {
  each_ragged<W>(group, x, cols, [&](auto width, int64_t c) {
    Acc<T> v[width];
    load_values<width>(x + c, v);
    TRIREME_UNROLL
    for (int k = 0; k < width; ++k) v[k] = fn(v[k]);
    store_values<width>(y + c, v);
  });
}

template <typename T, int W, typename Group>
TRIREME_HD void softmax_row(const Group& group, const T* x, T* y, int64_t cols) {
  const ExpSum<T> s = exp_sum_of_row<T, W>(group, x, cols);
  const Acc<T> scale = Acc<T>(1) / s.sum;
  map_row<T, W>(group, x, y, cols, [=](Acc<T> v) { return vmath::exp(v - s.most) * scale; });
}

template <typename T, int W, typename Group>
TRIREME_HD void log_softmax_row(const Group& group, const T* x, T* y, int64_t cols) {
  const ExpSum<T> s = exp_sum_of_row<T, W>(group, x, cols);
  const Acc<T> log_sum = vmath::log(s.sum);
  // In this order, because most + log_sum loses the digits of log_sum where x is large.
  map_row<T, W>(group, x, y, cols, [=](Acc<T> v) { return (v - s.most) - log_sum; });
}

/// The sum over one row of term(y, dy), then dx = fn(y, dy, sum). dx may be y or dy.
template <typename T, int W, typename Group, typename Term, typename Fn>
TRIREME_HD void reduce_then_map_row(const Group& group, const T* y, const T* dy, T* dx,
                                    int64_t cols, const Term& term, const Fn& fn) {
  using A = Acc<T>;
  A part = 0;
  each_ragged<W>(group, y, cols, [&](auto width, int64_t c) {
    A a[width], b[width];
    load_values<width>(y + c, a);
    load_values<width>(dy + c, b);
    TRIREME_UNROLL
    for (int k = 0; k < width; ++k) part += term(a[k], b[k]);
  });
  const A total = group_sum(group, part);
  each_ragged<W>(group, y, cols, [&](auto width, int64_t c) {
    A a[width], b[width];
    load_values<width>(y + c, a);
    load_values<width>(dy + c, b);
    TRIREME_UNROLL
    for (int k = 0; k < width; ++k) a[k] = fn(a[k], b[k], total);
    store_values<width>(dx + c, a);
  });
}

template <typename T, int W, typename Group>
TRIREME_HD void softmax_backward_row(const Group& group, const T* y, const T* dy, T* dx,
                                     int64_t cols) {
  using A = Acc<T>;
  reduce_then_map_row<T, W>(
      group, y, dy, dx, cols, [](A a, A b) { return a * b; },
      [](A a, A b, A dot) { return a * (b - dot); });
}

template <typename T, int W, typename Group>
TRIREME_HD void log_softmax_backward_row(const Group& group, const T* y, const T* dy, T* dx,
                                         int64_t cols) {
  using A = Acc<T>;
  reduce_then_map_row<T, W>(
      group, y, dy, dx, cols, [](A, A b) { return b; },
      [](A a, A b, A total) { return b - vmath::exp(a) * total; });
}

}  // namespace trireme::kernels

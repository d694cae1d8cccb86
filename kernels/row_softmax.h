// Parts of a row's softmax that softmax and cross entropy share.

#pragma once

#include <cmath>
#include <limits>

#include "kernels/simd.h"

namespace trireme::kernels {

template <typename T>
Acc<T> max_of_row(const T* x, int64_t n) {
  constexpr Acc<T> kLeast = -std::numeric_limits<Acc<T>>::infinity();
  // Four maxima side by side, because each waits for the one before. A NaN may be lost here; it
  // comes back when its own exponential enters the row's sum.
  Vec<T> most[4] = {broadcast(kLeast), broadcast(kLeast), broadcast(kLeast), broadcast(kLeast)};
  int64_t i = 0;
  for (; i + 4 * kLanes<T> <= n; i += 4 * kLanes<T>) {
    for (int k = 0; k < 4; ++k) most[k] = max_of(load(x + i + k * kLanes<T>), most[k]);
  }
  each_vector<T>(n - i, [&](int64_t j, auto part) {
    most[0] = max_of(part.load(x + i + j, kLeast), most[0]);
  });
  return max_of_lanes<T>(max_of(max_of(most[0], most[1]), max_of(most[2], most[3])));
}

/// Calls fn(c, exp(x[c] - most), part) for the vectors of a row; returns the exponentials' sum.
template <typename T, typename Fn>
Acc<T> each_exp(const T* x, int64_t n, Acc<T> most, const Fn& fn) {
  Vec<T> sum = {};
  each_vector<T>(n, [&](int64_t i, auto part) {
    const Vec<T> v = exp_of<T>(part.load(x + i, -std::numeric_limits<Acc<T>>::infinity()) - most);
    sum += v;
    fn(i, v, part);
  });
  return sum_of_lanes<T>(sum);
}
/// e[c] = exp(x[c] - most) for n elements; returns their sum. e may be x.
template <typename T>
Acc<T> exp_row(const T* x, int64_t n, Acc<T> most, Acc<T>* e) {
  return each_exp(x, n, most, [e](int64_t i, Vec<T> v, auto part) { part.store(e + i, v); });
}

/// The largest x[c], and sum_c exp(x[c] - most).
template <typename T>
struct RowExpSum {
  Acc<T> most, sum;
};
template <typename T>
RowExpSum<T> exp_sum_of_row(const T* x, int64_t n) {
  const Acc<T> most = max_of_row(x, n);
  return {most, each_exp(x, n, most, [](auto...) {})};
}

/// log sum_c exp(x[c]), safe for large x.
template <typename T>
Acc<T> logsumexp_of_row(const T* x, int64_t n) {
  const RowExpSum<T> found = exp_sum_of_row(x, n);
  return found.most + std::log(found.sum);
}

}  // namespace trireme::kernels

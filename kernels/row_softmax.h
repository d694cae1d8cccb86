// Parts of a row's softmax that softmax and cross entropy share.

#pragma once

#include <cmath>
#include <limits>

#include "kernels/simd.h"

namespace trireme::kernels {

template <typename T>
Acc<T> max_of_row(const T* x, int64_t n) {
  Vec<T> most = broadcast(-std::numeric_limits<Acc<T>>::infinity());
  each_vector<T>(n, [&](int64_t i, auto part) {
    // A NaN may be lost here; it comes back when its own exponential enters the row's sum.
    most = max_of(part.load(x + i, -std::numeric_limits<Acc<T>>::infinity()), most);
  });
  return max_of_lanes<T>(most);
}

/// The largest x[c], and sum_c exp(x[c] - most).
template <typename T>
struct RowExpSum {
  Acc<T> most, sum;
};
template <typename T>
RowExpSum<T> exp_sum_of_row(const T* x, int64_t n) {
  const Acc<T> most = max_of_row(x, n);
  Vec<T> sum = {};
  each_vector<T>(n, [&](int64_t i, auto part) {
    sum += exp_of<T>(part.load(x + i, -std::numeric_limits<Acc<T>>::infinity()) - most);
  });
  return {most, sum_of_lanes<T>(sum)};
}

/// log sum_c exp(x[c]), safe for large x.
template <typename T>
Acc<T> logsumexp_of_row(const T* x, int64_t n) {
  const RowExpSum<T> found = exp_sum_of_row(x, n);
  return found.most + std::log(found.sum);
}

}  // namespace trireme::kernels

// The largest or smallest element along a dimension, and the gradient.

#pragma once

#include <cstdint>

#include "core/base/half.h"
#include "kernels/cuda/divide.h"
#include "kernels/cuda/group.h"

namespace trireme::kernels {

/// What elements are compared as: 4 or 8 bytes, so that threads can exchange them.
template <typename T>
using MaxValue = std::conditional_t<sizeof(Acc<T>) < 4, int32_t, Acc<T>>;

/// An element and where it stands; index -1 stands for nothing.
template <typename V>
struct Best {
  V value;
  int64_t index;
};

enum class Extremum { kLargest, kSmallest };

/// The first of the better; a NaN is better than any number. Commutative.
template <Extremum kWanted>
struct BetterOp {
  template <typename V>
  TRIREME_HD Best<V> operator()(const Best<V>& a, const Best<V>& b) const {
    if (b.index < 0) return a;
    if (a.index < 0) return b;
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    const bool equal = a_nan || b_nan ? a_nan && b_nan : a.value == b.value;
    if (equal) return a.index < b.index ? a : b;
    const bool better = kWanted == Extremum::kLargest ? a.value > b.value : a.value < b.value;
    return a_nan || (!b_nan && better) ? a : b;
  }
};

/// Of the n elements x[0], x[stride], ..., those that this member takes, then of all.
template <Extremum kWanted, typename T, typename Group>
TRIREME_HD Best<MaxValue<T>> best_of(const Group& group, const T* x, int64_t n, int64_t stride) {
  using V = MaxValue<T>;
  Best<V> best{V(0), -1};
  for (int64_t i = group.rank(); i < n; i += group.size()) {
    best =
        BetterOp<kWanted>{}(best, Best<V>{static_cast<V>(static_cast<Acc<T>>(x[i * stride])), i});
  }
  return group.reduce(best, BetterOp<kWanted>{});
}

/// Element i of dx [outer, n, inner]: dy where the index says so, else 0.
template <typename T>
TRIREME_HD T scattered(const T* dy, const int64_t* indices, int64_t n, int64_t inner, int64_t i) {
  const int64_t c = i % inner, row = i / inner;
  const int64_t from = row / n * inner + c;
  return indices[from] == row % n ? dy[from] : T(Acc<T>(0));
}

}  // namespace trireme::kernels

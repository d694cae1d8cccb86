// Terms of the gradient of a bias in front of gelu, for a pack of columns.

#pragma once

#include "kernels/cuda/pack.h"
#include "kernels/functors.h"

namespace trireme::kernels {

/// dx = dy gelu'(x) for columns [c, c + W) of row r, written as it is summed: one pass gives both.
template <typename T>
struct GeluGradientTerms {
  static constexpr int kSums = 1;
  const T* x;
  const T* dy;
  T* dx;  // may be dy
  int64_t cols;
  template <int W>
  TRIREME_HD void operator()(int64_t r, int64_t c, Acc<T> (&terms)[1][W]) const {
    Acc<T> v[W];
    load_values<W>(x + r * cols + c, v);
    load_values<W>(dy + r * cols + c, terms[0]);
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) terms[0][k] = GeluTanh{}.grad(terms[0][k], v[k]);
    store_values<W>(dx + r * cols + c, terms[0]);
  }
};

}  // namespace trireme::kernels

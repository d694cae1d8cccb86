// Bias and gelu for a pack of columns, and the terms of the bias's gradient.

#pragma once

#include "kernels/cuda/pack.h"
#include "kernels/functors.h"

namespace trireme::kernels {

/// y = gelu(x + bias) for columns [c, c + W) of row r.
template <typename T>
struct BiasGelu {
  const T* x;
  int64_t x_stride;
  const T* bias;
  T* y;
  int64_t y_stride;
  template <int W>
  TRIREME_HD void operator()(int64_t r, int64_t c) const {
    Acc<T> v[W], shift[W];
    load_values<W>(x + r * x_stride + c, v);
    load_values<W>(bias + c, shift);
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) v[k] = GeluTanh{}(v[k] + shift[k]);
    store_values<W>(y + r * y_stride + c, v);
  }
};

/// dx = dy gelu'(x + bias), written as it is summed: one pass gives both.
template <typename T>
struct BiasGeluBackward {
  static constexpr int kSums = 1;
  const T* x;
  int64_t x_stride;
  const T* bias;
  const T* dy;
  int64_t dy_stride;
  T* dx;
  int64_t dx_stride;
  template <int W>
  TRIREME_HD void operator()(int64_t r, int64_t c, Acc<T> (&terms)[1][W]) const {
    Acc<T> v[W], shift[W];
    load_values<W>(x + r * x_stride + c, v);
    load_values<W>(bias + c, shift);
    load_values<W>(dy + r * dy_stride + c, terms[0]);
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) terms[0][k] = GeluTanh{}.grad(terms[0][k], v[k] + shift[k]);
    store_values<W>(dx + r * dx_stride + c, terms[0]);
  }
};

}  // namespace trireme::kernels

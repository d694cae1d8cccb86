// Terms of the gradient of a bias in front of gelu, for a pack of columns.

#pragma once

#include <cmath>

#include "kernels/cuda/held_pack.h"
#include "kernels/functors.h"

namespace trireme::kernels {

/// 1 / x for x in [1, 2], within 1 unit in the last place.
TRIREME_HD inline float reciprocal(float x) {
#ifdef __CUDA_ARCH__
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return 1.0f / x;
#endif
}

/// GeluTanh{}.grad for elements of T. Results in 16 bits round off what vmath::exp_approx errs, and
/// take 20 instructions instead of 34.
template <typename T>
TRIREME_HD inline Acc<T> gelu_gradient(Acc<T> dy, Acc<T> x) {
  if constexpr (is_half<T>) {
    constexpr float kSlope = GeluTanh::two_a<float>();
    // The names are GeluTanh::grad's; h is e g.
    const float e = vmath::exp_approx(-std::fabs(GeluTanh{}.two_u(x))), g = reciprocal(1.0f + e);
    const float h = e * g, du2 = kSlope + kSlope * (3 * 0.044715f) * (x * x);
    // x h first: x du2 alone is more than f32 holds where h is 0.
    return dy * ((x < 0.0f ? h : g) + x * h * (g * du2));
  } else {
    return GeluTanh{}.grad(dy, x);
  }
}

/// dx = dy gelu'(x) for W columns of a row, written as it is summed: one pass gives both. All three
/// are dense.
template <typename T>
struct GeluGradientTerms {
  static constexpr int kSums = 1, kAhead = 3;
  template <int W>
  struct Loaded {
    HeldPack<T, W> x, dy;
  };
  const T* x;
  const T* dy;
  T* dx;  // may be dy
  int64_t row_stride;
  template <int W>
  TRIREME_HD Loaded<W> load(int64_t at) const {
    return {load_held<W>(x + at), load_held<W>(dy + at)};
  }
  template <int W>
  TRIREME_HD void operator()(const Loaded<W>& loaded, int64_t at, Acc<T> (&terms)[1][W]) const {
    Acc<T> v[W];
    widen(loaded.x, v);
    widen(loaded.dy, terms[0]);
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) terms[0][k] = gelu_gradient<T>(terms[0][k], v[k]);
    store_values<W>(dx + at, terms[0]);
  }
};

}  // namespace trireme::kernels

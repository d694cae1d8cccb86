// Functors that have a form of their own for vectors of f32, with the instructions that g++ does
// not find: rounding, powers of two, and a reciprocal in place of a division.

#pragma once

#include <type_traits>

#include "kernels/functors.h"
#include "kernels/simd.h"

namespace trireme::kernels::detail {

#if defined(__AVX512F__)

/// 1 / x within 2 units in the last place, for x in [1, inf]: 14 bits and a step of Newton's
/// method. The step would make NaN of infinity; from 2^126 on, where results are subnormal, it is
/// left out.
inline __m512 reciprocal_of_one_or_more(__m512 x) {
  const __m512 guess = _mm512_maskz_rcp14_ps(kAll, x);
  const __mmask16 normal = _mm512_cmp_ps_mask(x, _mm512_set1_ps(0x1p126f), _CMP_LT_OQ);
  return _mm512_mask_mul_ps(guess, normal, guess, 2.0f - x * guess);
}

inline __m512 gelu_gate(__m512 x) {
  constexpr float kTwoA = GeluTanh::two_a<float>();
  return reciprocal_of_one_or_more(1.0f + exp_avx512(-x * (kTwoA + kTwoA * 0.044715f * x * x)));
}
inline Vec<float> lanes_of(const GeluTanh&, Vec<float> x) { return x * gelu_gate(x); }
inline Vec<float> lanes_of(const GradOf<GeluTanh>&, Vec<float> dy, Vec<float> x) {
  constexpr float kTwoA = GeluTanh::two_a<float>();
  const Vec<float> s = gelu_gate(x), slope = kTwoA + 3 * kTwoA * 0.044715f * x * x;
  return dy * (s + x * s * (1.0f - s) * slope);
}

template <typename Fn, typename T>
inline constexpr bool kHasLanes = std::is_same_v<T, float> &&
                                  (std::is_same_v<Fn, GeluTanh> ||
                                   std::is_same_v<Fn, GradOf<GeluTanh>>);

#else

template <typename Fn, typename T>
inline constexpr bool kHasLanes = false;

#endif

}  // namespace trireme::kernels::detail

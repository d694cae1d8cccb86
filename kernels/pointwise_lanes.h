// Functors that have a form of their own for vectors of f32, with the instructions that g++ does
// not find: powers of two, and a reciprocal in place of a division.

#pragma once

#include <cstdint>
#include <numbers>
#include <type_traits>

#include "kernels/functors.h"
#include "kernels/simd.h"

namespace trireme::kernels::detail {

#if defined(__AVX512F__)

/// 1 / x within 2 units in the last place, for x in [1, 2]: 14 bits and a step of Newton's method.
inline __m512 reciprocal(__m512 x) {
  const __m512 guess = _mm512_maskz_rcp14_ps(kAll, x);
  return guess * (2.0f - x * guess);
}

/// What gelu and its gradient are made of; u is GeluTanh's.
struct GeluGate {
  __m512 e, g;         // e^-|2u| and 1 / (1 + e): the gate is g or, where x is negative, e g
  __mmask16 negative;  // where x is
};
inline GeluGate gelu_gate(__m512 x) {
  constexpr float kA = GeluTanh::two_a<float>() * std::numbers::log2e_v<float>;
  const __m512i two_u = _mm512_castps_si512(x * (kA + (kA * 0.044715f) * x * x));  // in octaves
  const __m512i sign = _mm512_set1_epi32(INT32_MIN);
  const __m512 e = exp2_avx512(_mm512_castsi512_ps(_mm512_or_si512(two_u, sign)));
  return {e, reciprocal(1.0f + e), _mm512_test_epi32_mask(_mm512_castps_si512(x), sign)};
}

inline Vec<float> lanes_of(const GeluTanh&, Vec<float> x) {
  const GeluGate gate = gelu_gate(x);
  return x * _mm512_mask_mul_ps(gate.g, gate.negative, gate.e, gate.g);
}
inline Vec<float> lanes_of(const GradOf<GeluTanh>&, Vec<float> dy, Vec<float> x) {
  constexpr float kA = GeluTanh::two_a<float>();
  const GeluGate gate = gelu_gate(x);
  const __m512 eg = gate.e * gate.g, slope = kA + (3 * kA * 0.044715f) * x * x;
  const __m512 s = _mm512_mask_mov_ps(gate.g, gate.negative, eg);
  return dy * (s + x * (eg * gate.g) * slope);
}

template <typename Fn, typename T>
inline constexpr bool kHasLanes = std::is_same_v<Acc<T>, float> &&
                                  (std::is_same_v<Fn, GeluTanh> ||
                                   std::is_same_v<Fn, GradOf<GeluTanh>>);

#else

template <typename Fn, typename T>
inline constexpr bool kHasLanes = false;

#endif

/// fn in each lane, for kernels whose text is one of vectors: V are Vec<T>.
template <typename T, typename Fn, typename... V>
inline Vec<T> in_lanes(const Fn& fn, V... v) {
  if constexpr (kHasLanes<Fn, T>) {
    return lanes_of(fn, v...);
  } else {
    alignas(kVecBytes) Acc<T> in[sizeof...(V)][kLanes<T>], out[kLanes<T>];
    size_t k = 0;
    (std::memcpy(in[k++], &v, sizeof v), ...);
    for (int64_t i = 0; i < kLanes<T>; ++i) {
      if constexpr (sizeof...(V) == 1) {
        out[i] = fn(in[0][i]);
      } else {
        out[i] = fn(in[0][i], in[1][i]);
      }
    }
    Vec<T> y;
    std::memcpy(&y, out, sizeof y);
    return y;
  }
}

}  // namespace trireme::kernels::detail

// The 16-bit floating-point types: bfloat16 and IEEE 754 binary16.
//
// They are for storage. A value widens to f32 by itself, which is exact; narrowing is written out,
// BFloat16(x), and rounds once, to nearest even, whatever arithmetic type x has. There is no
// arithmetic of their own: a + b is an f32.

#pragma once

#include <cstdint>
#include <type_traits>

#include "core/base/host_device.h"

namespace trireme {

namespace detail {
/// x as an f32 that rounds on to 16 bits as x itself does. A wider type rounds to odd: towards
/// zero, with the last bit set where anything was cut off, so that no tie appears that was none.
/// Boldo, Melquiond, "Emulation of a FMA and correctly rounded sums: proved algorithms using
/// rounding to odd", 2008.
template <typename N>
TRIREME_HD inline float narrowed(N x) {
  if constexpr (std::is_same_v<N, float> || sizeof(N) <= 2) {
    return static_cast<float>(x);
  } else {
    const double exact = static_cast<double>(x), size = exact < 0 ? -exact : exact;
    const float nearest = static_cast<float>(exact);
    const double rounded = nearest;
    if (rounded == exact) return nearest;
    const uint32_t up = (rounded < 0 ? -rounded : rounded) > size ? 1 : 0;
    return __builtin_bit_cast(float, (__builtin_bit_cast(uint32_t, nearest) - up) | 1u);
  }
}
}  // namespace detail

/// The upper half of an f32: its range, 8 significant bits.
struct BFloat16 {
  BFloat16() = default;
  template <typename N>
  requires std::is_arithmetic_v<N> TRIREME_HD explicit BFloat16(N x)
      : bits(round(detail::narrowed(x))) {}
  TRIREME_HD operator float() const { return __builtin_bit_cast(float, uint32_t{bits} << 16); }

  TRIREME_HD static constexpr BFloat16 from_bits(uint16_t bits) {
    BFloat16 value;
    value.bits = bits;
    return value;
  }
  TRIREME_HD static uint16_t round(float x) {
#ifdef __CUDA_ARCH__
    uint16_t bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
#else
    const uint32_t wide = __builtin_bit_cast(uint32_t, x);
    // Half a unit of the last place kept, less one where that is even: ties go to even.
    const uint32_t rounded = wide + 0x7FFFu + (wide >> 16 & 1u);
    return static_cast<uint16_t>(x != x ? (wide >> 16 | 0x40u) : rounded >> 16);
#endif
  }

  uint16_t bits;
};

/// IEEE 754 binary16: 11 significant bits, magnitudes from 6e-8 to 65504.
struct Float16 {
  Float16() = default;
  template <typename N>
  requires std::is_arithmetic_v<N> TRIREME_HD explicit Float16(N x)
      : bits(round(detail::narrowed(x))) {}
  TRIREME_HD operator float() const { return widen(bits); }

  TRIREME_HD static constexpr Float16 from_bits(uint16_t bits) {
    Float16 value;
    value.bits = bits;
    return value;
  }
  TRIREME_HD static float widen(uint16_t bits) {
#ifdef __CUDA_ARCH__
    float wide;
    asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(bits));
    return wide;
#else
    const uint32_t sign = uint32_t{bits & 0x8000u} << 16, magnitude = bits & 0x7FFFu;
    // As an f32 with the exponent of an f16, then scaled by the difference of the biases, which
    // also makes subnormals what they are. Infinities and NaN keep an exponent of ones.
    const float scaled = __builtin_bit_cast(float, magnitude << 13) * 0x1p112f;
    const uint32_t finite = __builtin_bit_cast(uint32_t, scaled);
    const uint32_t special = 0x7F800000u | magnitude << 13;
    return __builtin_bit_cast(float, sign | (magnitude >= 0x7C00u ? special : finite));
#endif
  }
  TRIREME_HD static uint16_t round(float x) {
#ifdef __CUDA_ARCH__
    uint16_t bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
#else
    const uint32_t wide = __builtin_bit_cast(uint32_t, x);
    const uint32_t sign = wide >> 16 & 0x8000u, magnitude = wide & 0x7FFFFFFFu;
    // Below 2^-14 the f16 is subnormal: adding 1/2 puts its units at the end of the f32's mantissa
    // and rounds to even there.
    const float small = __builtin_bit_cast(float, magnitude) + 0.5f;
    const uint32_t subnormal = __builtin_bit_cast(uint32_t, small) - 0x3F000000u;
    const uint32_t normal = (magnitude - 0x38000000u + 0xFFFu + (magnitude >> 13 & 1u)) >> 13;
    uint32_t half = magnitude < 0x38800000u ? subnormal : normal;
    half = magnitude >= 0x477FF000u ? 0x7C00u : half;  // from 65520 on: infinity
    half = magnitude > 0x7F800000u ? 0x7E00u : half;   // NaN
    return static_cast<uint16_t>(sign | half);
#endif
  }

  uint16_t bits;
};

template <typename T>
inline constexpr bool is_half = std::is_same_v<T, BFloat16> || std::is_same_v<T, Float16>;

namespace detail {
template <typename T>
struct AccOf {
  using type = T;
};
template <>
struct AccOf<BFloat16> {
  using type = float;
};
template <>
struct AccOf<Float16> {
  using type = float;
};
}  // namespace detail

/// What kernels compute with for elements of type T, and the type of statistics (a mean, a
/// log-sum-exp, an optimizer's average): f32 for the 16-bit types, T itself otherwise.
template <typename T>
using Acc = typename detail::AccOf<T>::type;

}  // namespace trireme

// Vectors of 16-bit floats to and from f32, with the results of core/base/half.h (but for the
// payload of an f16 NaN).
//
// Changing the width of elements is written with intrinsics: g++ 12 makes five instructions of
// __builtin_convertvector where the processor has one, and the gradient of a bf16 layer norm takes
// 1.4 times as long.

#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__) || defined(__F16C__)
#include <immintrin.h>
#endif

#include "kernels/vec.h"

namespace trireme::kernels::detail {

/// The bits of kLanes<float> elements of 16 bits.
typedef uint16_t HalfBits __attribute__((vector_size(kVecBytes / 2)));
typedef uint32_t WordBits __attribute__((vector_size(kVecBytes)));

// The same instruction as without a mask; g++ 12 warns of an uninitialised operand there.
#if defined(__AVX512F__)
inline constexpr __mmask16 kAll = 0xFFFF;
#endif

inline WordBits widen_bits(HalfBits bits) {
#if defined(__AVX512F__)
  return reinterpret_cast<WordBits>(
      _mm512_maskz_cvtepu16_epi32(kAll, reinterpret_cast<__m256i>(bits)));
#elif defined(__AVX2__)
  return reinterpret_cast<WordBits>(_mm256_cvtepu16_epi32(reinterpret_cast<__m128i>(bits)));
#else
  return __builtin_convertvector(bits, WordBits);
#endif
}
inline HalfBits narrow_bits(WordBits bits) {
#if defined(__AVX512F__)
  return reinterpret_cast<HalfBits>(
      _mm512_maskz_cvtepi32_epi16(kAll, reinterpret_cast<__m512i>(bits)));
#else
  return __builtin_convertvector(bits, HalfBits);
#endif
}

template <typename T>
inline Vec<float> widen(HalfBits bits) {
  if constexpr (std::is_same_v<T, BFloat16>) {
    return reinterpret_cast<Vec<float>>(widen_bits(bits) << 16);
  } else {
#if defined(__AVX512F__)
    return _mm512_maskz_cvtph_ps(kAll, reinterpret_cast<__m256i>(bits));
#elif defined(__F16C__)
    return _mm256_cvtph_ps(reinterpret_cast<__m128i>(bits));
#else
    Vec<float> v;
    for (int64_t i = 0; i < kLanes<float>; ++i) v[i] = Float16::widen(bits[i]);
    return v;
#endif
  }
}

template <typename T>
inline HalfBits round(Vec<float> v) {
  if constexpr (std::is_same_v<T, BFloat16>) {
    // As BFloat16::round. The processor's own instruction takes subnormals for zero.
#if defined(__AVX512BF16__) && defined(__AVX512DQ__)
    constexpr int kSubnormal = 0x20;
    const auto bits = _mm512_cvtneps_pbh(v);
    if (_mm512_fpclass_ps_mask(v, kSubnormal) == 0) [[likely]]
      return reinterpret_cast<HalfBits>(bits);
#endif
    const WordBits wide = reinterpret_cast<WordBits>(v);
    const WordBits rounded = (wide + 0x7FFFu + (wide >> 16 & 1u)) >> 16;
    return narrow_bits(v != v ? (wide >> 16 | 0x40u) : rounded);
  } else {
#if defined(__AVX512F__)
    return reinterpret_cast<HalfBits>(_mm512_maskz_cvtps_ph(kAll, v, _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
    return reinterpret_cast<HalfBits>(_mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
#else
    HalfBits bits;
    for (int64_t i = 0; i < kLanes<float>; ++i) bits[i] = Float16::round(v[i]);
    return bits;
#endif
  }
}

}  // namespace trireme::kernels::detail

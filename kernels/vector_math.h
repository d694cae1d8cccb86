// Elementary functions written without branches, so that loops over them become vector code. f32
// has own forms; f64 is the C library's. On the device exp and log are CUDA's own, which the
// special function units compute to the same accuracy in half the instructions; the rest is the
// same text.
//
// Polynomials are minimax fits of their interval (Lawson's iteration over Chebyshev nodes, in
// multiple precision); the error of each stands beside it. Ranges are reduced in the classic way:
// Muller, "Elementary functions: algorithms and implementation", 3rd edition, 2016. NaN in gives
// NaN out; overflow gives infinity and underflow 0 through the subnormals.

#pragma once

#include <cmath>
#include <cstdint>

#include "core/base/host_device.h"

namespace trireme::vmath {

// The sum of c[i] x^i by Horner's rule.
template <typename... Rest>
TRIREME_HD inline float horner(float /*x*/, float c) {
  return c;
}
template <typename... Rest>
TRIREME_HD inline float horner(float x, float c, Rest... rest) {
  return horner(x, rest...) * x + c;
}

/// Within 2 units in the last place.
TRIREME_HD inline float exp(float x) {
#ifdef __CUDA_ARCH__
  return ::expf(x);
#else
  // Beyond these the result is infinity or 0 whatever the polynomial says; NaN passes both tests.
  x = x > 89.0f ? 89.0f : x;
  x = x < -104.0f ? -104.0f : x;
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
  constexpr float kRound = 0x1.8p23f;
  const float shifted = x * 1.44269504f + kRound;
  const int32_t n = __builtin_bit_cast(int32_t, shifted) - __builtin_bit_cast(int32_t, kRound);
  const float whole = shifted - kRound;
  // ln 2 in two parts, the first with zeros at its end: whole * hi is exact.
  const float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
  // (e^r - 1 - r) / r^2 on |r| <= ln(2) / 2, error 3.1e-9 relative to e^r.
  const float p =
      horner(r, 0.4999999345f, 0.1666652068f, 0.04166838747f, 0.008368710296f, 0.001381460828f);
  const float e = (p * r) * r + r + 1.0f;
  // 2^n in two factors, because n reaches from -150 to 128.
  const int32_t half = n >> 1;
  const float scale0 = __builtin_bit_cast(float, (half + 127) << 23);
  const float scale1 = __builtin_bit_cast(float, (n - half + 127) << 23);
  return e * scale0 * scale1;
#endif
}
TRIREME_HD inline double exp(double x) { return std::exp(x); }

/// e^x for x that carry a rounding of their own: on the device two instructions instead of eight,
/// within 2.4e-7 + 1.2e-7 |x| of e^x in relation to it, and 0 for results below 2^-126.
TRIREME_HD inline float exp_approx(float x) {
#ifdef __CUDA_ARCH__
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x * 1.44269504f));
  return y;
#else
  return exp(x);
#endif
}
TRIREME_HD inline double exp_approx(double x) { return std::exp(x); }

/// Within 2 units in the last place; -infinity at 0, NaN below.
TRIREME_HD inline float log(float x) {
#ifdef __CUDA_ARCH__
  return ::logf(x);
#else
  const bool subnormal = x < 0x1p-126f;
  const float scaled = subnormal ? x * 0x1p23f : x;
  const uint32_t bits = __builtin_bit_cast(uint32_t, scaled);
  // Subtracting the bits of sqrt(1/2) makes the exponent field that of x's multiple of it.
  const int32_t exponent = static_cast<int32_t>(bits - 0x3f3504f3u) >> 23;
  const uint32_t mantissa = bits - (static_cast<uint32_t>(exponent) << 23);
  const float m = __builtin_bit_cast(float, mantissa);  // [sqrt(1/2), sqrt(2))
  const float n = static_cast<float>(exponent - (subnormal ? 23 : 0));
  // log(m) = 2 atanh(s) = 2 (s + s^3/3 + ...), |s| <= 0.172: the series to s^9 errs by 2e-9.
  const float f = m - 1.0f;
  const float s = f / (2.0f + f);
  const float s2 = s * s;
  const float tail = s2 * horner(s2, 1.0f / 3, 1.0f / 5, 1.0f / 7, 1.0f / 9);
  // 2s = f - s f, so that the large part f is exact.
  float y = f - s * (f - 2.0f * tail) + n * -2.12194440e-4f + n * 0.693359375f;
  y = x == INFINITY ? x : y;
  y = x == 0.0f ? -INFINITY : y;
  return x >= 0.0f ? y : NAN;
#endif
}
TRIREME_HD inline double log(double x) { return std::log(x); }

/// Relative error below 2e-7.
TRIREME_HD inline float tanh(float x) {
  const float a = std::fabs(x);
  // (tanh(a) - a) / a^3 in a^2 on a < 0.625, error 4.4e-9.
  const float a2 = a * a;
  const float p =
      horner(a2, -0.3333328194f, 0.1333144211f, -0.05373970852f, 0.02063906817f, -0.005704967632f);
  const float small = p * a2 * a + a;
  const float large = 1.0f - 2.0f / (exp(2.0f * a) + 1.0f);
  return std::copysign(a < 0.625f ? small : large, x);
}
TRIREME_HD inline double tanh(double x) { return std::tanh(x); }

/// 1 - erf(x). Absolute error below 2e-7, relative error below 5e-6 up to x = 2.5; 0 beyond x = 4.
TRIREME_HD inline float erfc(float x) {
  const float a = std::fabs(x);
  // erf(a) / a in a^2 on a < 1, error 1.2e-9.
  const float small =
      1.0f - a * horner(a * a, 1.128379166f, -0.3761262582f, 0.1128358515f, -0.02685381179f,
                        0.005188327406f, -0.0008010191167f, 7.85385324e-5f);
  // -log(erfc(a)) on [1, 4], error 1.0e-9 of 1.
  const float g = horner(a, 0.0003537107199f, 1.127040062f, 0.6382256511f, 0.1030373755f,
                         -0.02180531375f, 0.002939604261f, -0.0001855735193f);
  const float large = a > 4.0f ? 0.0f : exp(-g);
  const float e = a < 1.0f ? small : large;
  return x < 0.0f ? 2.0f - e : e;
}
TRIREME_HD inline double erfc(double x) { return std::erfc(x); }

/// 1 / (1 + e^-x).
template <typename T>
TRIREME_HD inline T sigmoid(T x) {
#ifdef __CUDA_ARCH__
  // Within 2 units in the last place; a division rounded exactly takes longer than the exponential.
  if constexpr (sizeof(T) == 4) {
    return __fdividef(1.0f, 1.0f + exp(-x));
  } else {
    return T(1) / (T(1) + exp(-x));
  }
#else
  return T(1) / (T(1) + exp(-x));
#endif
}

}  // namespace trireme::vmath

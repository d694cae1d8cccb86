// e^x and 2^x in the 16 lanes of AVX-512.
//
// x log2(e) is cut at 32nds: 2^(n / 32 + r) = 2^floor(n / 32) 2^(n mod 32 / 32) 2^r. The first
// factor is an instruction, the second a table that fills two registers, the third a polynomial of
// degree 2, which leaves ten instructions where a polynomial over a whole octave needs fourteen.
// Tang, "Table-driven implementation of the exponential function in IEEE floating-point
// arithmetic", ACM TOMS 15(2), 1989.

#pragma once

#if defined(__AVX512F__)
#include <immintrin.h>

#include "kernels/half_vector.h"

namespace trireme::kernels::detail {

/// 2^(j / 32).
alignas(64) inline constexpr float kRootsOf2[32] = {
    1.0f,        1.0218972f,  1.04427373f, 1.06714046f, 1.09050775f, 1.1143868f,  1.13878858f,
    1.1637249f,  1.18920708f, 1.21524739f, 1.24185777f, 1.26905096f, 1.29683959f, 1.32523668f,
    1.35425556f, 1.38390994f, 1.41421354f, 1.44518077f, 1.47682619f, 1.50916445f, 1.54221082f,
    1.5759809f,  1.61049032f, 1.64575553f, 1.68179286f, 1.71861935f, 1.75625217f, 1.79470909f,
    1.8340081f,  1.87416768f, 1.91520655f, 1.95714414f};

/// Adding it rounds to 32nds, and leaves their number in the lowest bits.
inline constexpr float kRoundTo32nds = 0x1.8p18f;

/// 2^(whole + r) for r within 1/64 of 0, where kRoundTo32nds + whole is `rounded`.
inline __m512 exp2_of_parts(__m512 rounded, __m512 whole, __m512 r) {
  const __m512 root = _mm512_permutex2var_ps(
      _mm512_load_ps(kRootsOf2), _mm512_castps_si512(rounded), _mm512_load_ps(kRootsOf2 + 16));
  // 2^r - 1, a minimax fit: error 5.3e-8 of 2^r.
  const __m512 q = (r * 0.240224745832f + 0.693157343565f) * r;
  // Rounds down: the table has the 32nds.
  return _mm512_maskz_scalef_ps(kAll, root * q + root, whole);
}

/// Results are 0 from here on whatever the rest; -infinity and numbers without 32nds end here too.
inline constexpr float kLeastExponent = -9e4f;
/// NaN passes: the larger is the second operand where one is NaN.
inline __m512 at_least(float least, __m512 x) {
  return _mm512_maskz_max_ps(kAll, _mm512_set1_ps(least), x);
}

/// e^x within 2 units in the last place; NaN for +infinity, which a fifth more time would cure.
inline __m512 exp_avx512(__m512 x) {
  x = at_least(kLeastExponent, x);
  const __m512 rounded = x * 1.44269504f + kRoundTo32nds;
  const __m512 whole = rounded - kRoundTo32nds;
  // log2(e) in two parts; fused, so the first product is exact.
  const __m512 r = x * 1.92596303e-8f + _mm512_fmsub_ps(x, _mm512_set1_ps(1.44269504f), whole);
  return exp2_of_parts(rounded, whole, r);
}
/// 2^x; NaN for +infinity.
inline __m512 exp2_avx512(__m512 x) {
  x = at_least(kLeastExponent, x);
  const __m512 rounded = x + kRoundTo32nds;
  const __m512 whole = rounded - kRoundTo32nds;
  return exp2_of_parts(rounded, whole, x - whole);
}

}  // namespace trireme::kernels::detail
#endif

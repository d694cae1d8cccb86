// Random numbers and dropout masks of single positions: the CPU's bits (core/base/philox.h).

#pragma once

#include <cmath>
#include <numbers>

#include "core/base/half.h"
#include "core/base/philox.h"
#include "kernels/cuda/pack.h"

namespace trireme::kernels {

using PhiloxBlock = std::array<uint32_t, 4>;

TRIREME_HD inline double uniform53(uint32_t high, uint32_t low) {
  return static_cast<double>((uint64_t{high} << 32 | low) >> 11) * 0x1.0p-53;
}

/// As random.h says: as many bits as T has digits.
template <typename T>
TRIREME_HD T uniform_of(const PhiloxBlock& r) {
  if constexpr (std::is_same_v<T, double>) {
    return uniform53(r[1], r[0]);
  } else if constexpr (is_half<T>) {
    constexpr int kDigits = std::is_same_v<T, BFloat16> ? 8 : 11;
    return T(static_cast<float>(r[0] >> (32 - kDigits)) / (1 << kDigits));
  } else {
    return to_uniform(r[0]);
  }
}

template <typename T>
TRIREME_HD T normal_of(const PhiloxBlock& r) {
  using A = Acc<T>;
  constexpr A kTwoPi = 2 * std::numbers::pi_v<A>;
  // 1 - uniform lies in (0, 1], so that the logarithm is finite.
  if constexpr (sizeof(A) == 4) {
    return T(std::sqrt(-2 * std::log(1 - to_uniform(r[0]))) * std::cos(kTwoPi * to_uniform(r[1])));
  } else {
    return std::sqrt(-2 * std::log(1 - uniform53(r[1], r[0]))) *
           std::cos(kTwoPi * uniform53(r[3], r[2]));
  }
}

/// Dropout of W elements from i on, i a multiple of W, and W 1 or a multiple of 4: the elements
/// that share a Philox block.
template <int W, typename T>
TRIREME_HD void dropout_pack(const T* x, T* y, int64_t i, Acc<T> scale, uint32_t limit,
                             uint64_t seed, uint64_t first) {
  static_assert(W == 1 || W % 4 == 0);
  Acc<T> v[W];
  load_values<W>(x + i, v);
  if constexpr (W == 1) {
    const uint32_t bits = philox(seed, first + static_cast<uint64_t>(i / 4))[i % 4];
    v[0] = (bits >> 8) < limit ? Acc<T>(0) : v[0] * scale;
  } else {
    TRIREME_UNROLL
    for (int k = 0; k < W; k += 4) {
      const PhiloxBlock bits = philox(seed, first + static_cast<uint64_t>((i + k) / 4));
      TRIREME_UNROLL
      for (int w = 0; w < 4; ++w) {
        v[k + w] = (bits[w] >> 8) < limit ? Acc<T>(0) : v[k + w] * scale;
      }
    }
  }
  store_values<W>(y + i, v);
}

}  // namespace trireme::kernels

// Many Philox counters at once, for CPU kernels that need random bits by the million.

#pragma once

#include <cstdint>

namespace trireme::kernels {

// Counters worked on side by side: the generator's ten rounds are one long dependency chain, and
// only many of them at once fill the vector units.
inline constexpr int kAbreast = 32;

/// Word w of philox(seed, counter_of(j)), j < kAbreast, at words[w][j]. The rounds of
/// core/base/philox.h with the loop over j inside, so that the compiler makes vectors of it.
template <typename CounterOf>
void philox_abreast(uint64_t seed, const CounterOf& counter_of, uint32_t (&words)[4][kAbreast]) {
  const auto high_product = [](uint32_t a, uint32_t b) {
    return static_cast<uint32_t>((uint64_t{a} * b) >> 32);
  };
  auto& [c0, c1, c2, c3] = words;
  for (int j = 0; j < kAbreast; ++j) {
    const uint64_t position = counter_of(j);
    c0[j] = static_cast<uint32_t>(position);
    c1[j] = static_cast<uint32_t>(position >> 32);
    c2[j] = c3[j] = 0;
  }
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
#pragma omp simd
    for (int j = 0; j < kAbreast; ++j) {
      const uint32_t low0 = 0xD2511F53 * c0[j], low1 = 0xCD9E8D57 * c2[j];
      const uint32_t high0 = high_product(0xD2511F53, c0[j]),
                     high1 = high_product(0xCD9E8D57, c2[j]);
      c0[j] = high1 ^ c1[j] ^ k0;
      c2[j] = high0 ^ c3[j] ^ k1;
      c1[j] = low1;
      c3[j] = low0;
    }
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
}

}  // namespace trireme::kernels

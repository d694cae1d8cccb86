#include "kernels/dropout.h"

#include <algorithm>
#include <cmath>

#include "core/base/parallel_for.h"
#include "kernels/half_rows.h"

namespace trireme::kernels {
namespace {

// Counters worked on side by side: the generator's ten rounds are one long dependency chain, and
// only many of them at once fill the vector units.
constexpr int kAbreast = 32;

uint32_t high_product(uint32_t a, uint32_t b) {
  return static_cast<uint32_t>((uint64_t{a} * b) >> 32);
}

/// philox(seed, counter + j) for j < kAbreast, word w of j at words[w][j]. The rounds of
/// core/base/philox.h with the loop over j inside, so that the compiler makes vectors of it.
void philox_abreast(uint64_t seed, uint64_t counter, uint32_t (&words)[4][kAbreast]) {
  auto& [c0, c1, c2, c3] = words;
  for (int j = 0; j < kAbreast; ++j) {
    const uint64_t position = counter + static_cast<uint64_t>(j);
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

}  // namespace

template <typename T>
void dropout(Cpu, const T* x, T* y, int64_t count, double p, uint64_t seed, uint64_t first) {
  const auto scale = static_cast<Acc<T>>(1 / (1 - p));
  // u < p with u = k / 2^24 is k < ceil(p 2^24).
  const auto limit = static_cast<uint32_t>(std::ceil(p * 0x1p24));
  constexpr int64_t kElements = int64_t{4} * kAbreast;
  const int64_t blocks = (count + kElements - 1) / kElements;
  parallel_for(blocks, 64, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      uint32_t words[4][kAbreast], in_order[kElements];
      philox_abreast(seed, first + static_cast<uint64_t>(block * kAbreast), words);
      for (int j = 0; j < kAbreast; ++j) {
        for (int w = 0; w < 4; ++w) in_order[4 * j + w] = words[w][j];
      }
      const int64_t at = block * kElements, n = std::min(kElements, count - at);
      const auto choose = [&](const Acc<T>* from, Acc<T>* to) {
        for (int64_t i = 0; i < n; ++i) {
          const Acc<T> kept = from[i] * scale;
          to[i] = (in_order[i] >> 8) < limit ? Acc<T>{0} : kept;
        }
      };
      if constexpr (is_half<T>) {
        alignas(64) float wide[kElements];
        convert_row(wide, x + at, n);
        choose(wide, wide);
        convert_row(y + at, wide, n);
      } else {
        choose(x + at, y + at);
      }
    }
  });
}

template void dropout(Cpu, const float*, float*, int64_t, double, uint64_t, uint64_t);
template void dropout(Cpu, const double*, double*, int64_t, double, uint64_t, uint64_t);
template void dropout(Cpu, const BFloat16*, BFloat16*, int64_t, double, uint64_t, uint64_t);
template void dropout(Cpu, const Float16*, Float16*, int64_t, double, uint64_t, uint64_t);

}  // namespace trireme::kernels

#include "kernels/dropout.h"

#include <algorithm>
#include <cmath>

#include "core/base/parallel_for.h"
#include "kernels/half_rows.h"
#include "kernels/philox_abreast.h"

namespace trireme::kernels {

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
      const uint64_t counter = first + static_cast<uint64_t>(block * kAbreast);
      philox_abreast(
          seed, [=](int j) { return counter + static_cast<uint64_t>(j); }, words);
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

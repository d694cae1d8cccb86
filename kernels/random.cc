#include "kernels/random.h"

#include <cmath>
#include <numbers>

#include "core/base/half.h"
#include "core/base/parallel_for.h"
#include "core/base/philox.h"

namespace trireme::kernels {
namespace {

// A Philox block costs some 30 cycles, so threads pay off early.
constexpr int64_t kGrain = 1 << 12;

using Block = std::array<uint32_t, 4>;

double uniform53(uint32_t high, uint32_t low) {
  return static_cast<double>((uint64_t{high} << 32 | low) >> 11) * 0x1.0p-53;
}

template <typename T>
T uniform(const Block& r) {
  if constexpr (std::is_same_v<T, double>) {
    return uniform53(r[1], r[0]);
  } else if constexpr (is_half<T>) {
    // As many bits as the type has digits: rounding a longer number could give 1.
    constexpr int kDigits = std::is_same_v<T, BFloat16> ? 8 : 11;
    return T(static_cast<float>(r[0] >> (32 - kDigits)) / (1 << kDigits));
  } else {
    return to_uniform(r[0]);
  }
}

template <typename T>
T normal(const Block& r) {
  constexpr Acc<T> kTwoPi = 2 * std::numbers::pi_v<Acc<T>>;
  // 1 - uniform lies in (0, 1], so that the logarithm is finite.
  if constexpr (sizeof(Acc<T>) == 4) {
    return T(std::sqrt(-2 * std::log(1 - to_uniform(r[0]))) * std::cos(kTwoPi * to_uniform(r[1])));
  } else {
    return std::sqrt(-2 * std::log(1 - uniform53(r[1], r[0]))) *
           std::cos(kTwoPi * uniform53(r[3], r[2]));
  }
}

template <typename T, typename Draw>
void fill_blocks(T* out, int64_t count, uint64_t seed, uint64_t first, const Draw& draw) {
  parallel_for(count, kGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = draw(philox(seed, first + i));
  });
}

}  // namespace

template <typename T>
void fill_uniform(Cpu, T* out, int64_t count, uint64_t seed, uint64_t first) {
  fill_blocks(out, count, seed, first, uniform<T>);
}

template <typename T>
void fill_normal(Cpu, T* out, int64_t count, uint64_t seed, uint64_t first) {
  fill_blocks(out, count, seed, first, normal<T>);
}

#define TRIREME_INSTANTIATE(T)                                      \
  template void fill_uniform(Cpu, T*, int64_t, uint64_t, uint64_t); \
  template void fill_normal(Cpu, T*, int64_t, uint64_t, uint64_t)
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels

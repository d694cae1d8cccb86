// Philox4x32-10, a counter-based random number generator: the i-th number depends only on
// (seed, i), so the CPU and the GPU give the same bits whatever the order or thread count.
//
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "core/base/host_device.h"

namespace trireme {

/// The four 32-bit numbers at position `counter` of the stream `seed`.
TRIREME_HD inline std::array<uint32_t, 4> philox(uint64_t seed, uint64_t counter) {
  uint32_t c0 = static_cast<uint32_t>(counter), c1 = static_cast<uint32_t>(counter >> 32);
  uint32_t c2 = 0, c3 = 0;
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c0, p1 = uint64_t{0xCD9E8D57} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return {c0, c1, c2, c3};
}

/// Uniform in [0, 1) with 24 bits.
TRIREME_HD inline float to_uniform(uint32_t bits) {
  return static_cast<float>(bits >> 8) * 0x1.0p-24f;
}

namespace detail {
/// Why this thread may not draw random numbers now; null: it may.
inline constinit thread_local const char* no_random_reason = nullptr;
[[noreturn]] void refuse_random(const char* reason);
}  // namespace detail

/// While it lives, generators that this thread uses throw InvalidArgument `random: reason`.
/// `reason` must be a string literal.
class NoRandomNumbers {
 public:
  explicit NoRandomNumbers(const char* reason) : previous_(detail::no_random_reason) {
    detail::no_random_reason = reason;
  }
  ~NoRandomNumbers() { detail::no_random_reason = previous_; }
  NoRandomNumbers(const NoRandomNumbers&) = delete;

 private:
  const char* previous_;
};

class Generator;

/// Stands between a thread and its generators: records what they give, or answers for them.
class RandomTape {
 public:
  /// What generator.reserve(count) returns.
  virtual uint64_t reserve(Generator& generator, uint64_t count) = 0;

 protected:
  ~RandomTape() = default;
};

namespace detail {
inline constinit thread_local RandomTape* random_tape = nullptr;
}  // namespace detail

/// A position in a Philox stream: seed and next counter. Copyable; its two numbers are the whole
/// state and belong into a checkpoint. Not thread-safe.
class Generator {
 public:
  explicit Generator(uint64_t seed = 0) : seed_(seed) {}

  uint64_t seed() const { return seed_; }
  uint64_t offset() const { return offset_; }
  void set_offset(uint64_t offset) { offset_ = offset; }

  /// Reserves `count` counters and returns the first: a kernel then uses philox(seed, first + i).
  uint64_t reserve(uint64_t count) {
    if (detail::no_random_reason) [[unlikely]] {
      detail::refuse_random(detail::no_random_reason);
    }
    if (detail::random_tape) [[unlikely]] {
      return detail::random_tape->reserve(*this, count);
    }
    return advance(count);
  }
  /// reserve() without a look at the thread's state; for tapes.
  uint64_t advance(uint64_t count) {
    const uint64_t first = offset_;
    offset_ += count;
    return first;
  }

  /// Uniform over 64 bits; consumes one counter.
  uint64_t next_u64() {
    const auto r = philox(seed_, reserve(1));
    return (uint64_t{r[1]} << 32) | r[0];
  }
  /// Uniform in [0, 1) with 53 bits.
  double next_uniform() { return static_cast<double>(next_u64() >> 11) * 0x1.0p-53; }
  /// Uniform in [0, bound); requires bound > 0. The bias is below bound / 2^64.
  uint64_t next_below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(next_u64()) * bound) >> 64);
  }
  /// Standard normal by Box-Muller; consumes two counters.
  double next_normal() {
    const double u = 1.0 - next_uniform();  // in (0, 1]: log is finite
    const double v = next_uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * v);
  }

 private:
  uint64_t seed_;
  uint64_t offset_ = 0;
};

}  // namespace trireme

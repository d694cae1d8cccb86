// A random order of [0, size) that takes no memory: element i is computed, not stored.

#pragma once

#include <array>
#include <cstdint>

namespace trireme {

/// A bijection of [0, size), chosen by `key`. at(i) takes well under a microsecond whatever the
/// size, so a dataset of billions needs no index table and a rank can start in the middle.
/// Immutable.
///
/// A Feistel network over the next power of four, walked until the value falls below size (Black
/// and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). Not meant for cryptography.
class Permutation {
 public:
  /// Requires size >= 1.
  Permutation(int64_t size, uint64_t key);

  int64_t size() const { return static_cast<int64_t>(size_); }
  /// Requires 0 <= i < size().
  int64_t at(int64_t i) const;

 private:
  static constexpr int kRounds = 8;
  uint64_t encrypt(uint64_t value) const;

  uint64_t size_;
  int half_bits_;
  std::array<uint64_t, kRounds> round_keys_;
};

}  // namespace trireme

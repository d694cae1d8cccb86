#include "core/data/permutation.h"

#include <bit>

#include "core/base/error.h"
#include "core/base/philox.h"

namespace trireme {
namespace {

// The finaliser of MurmurHash3: every input bit reaches every output bit.
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 33)) * 0xFF51AFD7ED558CCD;
  x = (x ^ (x >> 33)) * 0xC4CEB9FE1A85EC53;
  return x ^ (x >> 33);
}

}  // namespace

Permutation::Permutation(int64_t size, uint64_t key) : size_(static_cast<uint64_t>(size)) {
  require(size >= 1, "permutation", "size must be at least 1, got ", size);
  half_bits_ = (static_cast<int>(std::bit_width(size_ - 1)) + 1) / 2;
  Generator keys(key);
  for (uint64_t& round_key : round_keys_) round_key = keys.next_u64();
}

uint64_t Permutation::encrypt(uint64_t value) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t left = value >> half_bits_, right = value & mask;
  for (const uint64_t round_key : round_keys_) {
    const uint64_t next = left ^ (mix(right ^ round_key) & mask);
    left = right;
    right = next;
  }
  return left << half_bits_ | right;
}

int64_t Permutation::at(int64_t i) const {
  uint64_t value = encrypt(static_cast<uint64_t>(i));
  while (value >= size_) value = encrypt(value);
  return static_cast<int64_t>(value);
}

}  // namespace trireme

// Division by a number that is known before the kernel starts: a multiplication and a shift instead
// of some twenty instructions.

#pragma once

#include <cstdint>

#include "core/base/host_device.h"

namespace trireme::kernels {

/// Exact for dividends and divisors from 0 (1) to 2^31 - 1.
///
/// With l the smallest number with 2^l >= d and m = ceil(2^(31 + l) / d) the quotient is
/// n m / 2^(31 + l): m d exceeds 2^(31 + l) by less than d <= 2^l, so for n < 2^31 the error stays
/// below what would reach the next whole number. m < 2^32. Granlund, Montgomery, "Division by
/// invariant integers using multiplication", 1994.
class FastDivisor {
 public:
  FastDivisor() : FastDivisor(1) {}
  explicit FastDivisor(uint32_t divisor) : divisor_(divisor) {
    int log = 0;
    while ((uint64_t{1} << log) < divisor) ++log;
    shift_ = 31 + log;
    multiplier_ = static_cast<uint32_t>(((uint64_t{1} << shift_) + divisor - 1) / divisor);
  }

  TRIREME_HD uint32_t quotient(uint32_t n) const {
    return static_cast<uint32_t>(uint64_t{n} * multiplier_ >> shift_);
  }
  TRIREME_HD uint32_t divisor() const { return divisor_; }

 private:
  uint32_t divisor_, multiplier_;
  int shift_;
};

}  // namespace trireme::kernels

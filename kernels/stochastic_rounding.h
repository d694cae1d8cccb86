// Rounding to bf16 that is right on average: up or down at random, with the probability that makes
// the mean the value itself, so that steps too small for a weight are not lost but taken now and
// then. Gupta et al., "Deep learning with limited numerical precision", 2015.

#pragma once

#include <cstdint>

#include "core/base/half.h"
#include "core/base/host_device.h"

namespace trireme::kernels {

/// The Philox stream that steps of optimizers round with: the bits are a function of the element's
/// place and the number of the step alone, the same on every rank and device.
inline constexpr uint64_t kRoundingSeed = 0x5EED0F30D2D5;

/// x rounded down or up (in magnitude) by the upper 16 of `bits`, which are uniform. Values that
/// bf16 holds stay as they are, infinities and NaN too; nothing finite becomes infinite.
TRIREME_HD inline BFloat16 round_at_random(float x, uint32_t bits) {
  const uint32_t wide = __builtin_bit_cast(uint32_t, x);
  const uint32_t moved = wide + (bits >> 16);
  const bool overflows = (moved & 0x7F800000u) == 0x7F800000u;
  if (x != x) return BFloat16(x);
  return BFloat16::from_bits(static_cast<uint16_t>((overflows ? wide : moved) >> 16));
}

}  // namespace trireme::kernels

// Sizes of small device blocks: rounded up to classes, so that a freed one serves the next request
// of nearly its size without asking the driver. Plain arithmetic.

#pragma once

#include <bit>
#include <cstdint>

namespace trireme::cuda {

/// Requests up to here come from the library's own lists, larger ones straight from the driver's
/// pool: a call into the driver (about a microsecond) does not show beside a kernel that fills
/// more.
inline constexpr int64_t kLargestSmall = 1 << 20;
inline constexpr int64_t kBlockUnit = 512;
inline constexpr int kSizeClasses = 40;

struct SizeClass {
  int index;      // from 0 to kSizeClasses - 1
  int64_t bytes;  // of every block of the class
};

/// Four classes for each doubling, so at most a fifth of a block of more than 2 KiB is unused.
/// Requires 0 <= bytes <= kLargestSmall.
inline SizeClass size_class(int64_t bytes) {
  const int64_t asked = (bytes + kBlockUnit - 1) / kBlockUnit;
  const int64_t units = asked > 0 ? asked : 1;
  if (units <= 4) return {static_cast<int>(units) - 1, units * kBlockUnit};
  const int shift = std::bit_width(static_cast<uint64_t>(units - 1)) - 3;
  const int64_t steps = (units + (int64_t{1} << shift) - 1) >> shift;  // from 5 to 8
  return {4 + 4 * shift + static_cast<int>(steps) - 5, (steps << shift) * kBlockUnit};
}

}  // namespace trireme::cuda

// Elements as unsigned integers that stand in the same order: what radix sorts and comparisons of
// bits need.

#pragma once

#include <cstdint>
#include <type_traits>

#include "core/base/half.h"
#include "core/base/host_device.h"

namespace trireme {

enum class Order { kAscending, kDescending };

namespace kernels {

template <typename T>
using SortKey =
    std::conditional_t<sizeof(T) == 8, uint64_t,
                       std::conditional_t<sizeof(T) == 4, uint32_t,
                                          std::conditional_t<sizeof(T) == 2, uint16_t, uint8_t>>>;

/// Smaller keys come first. A NaN counts as larger than any number and as equal to any NaN; -0
/// equals 0.
template <typename T>
TRIREME_HD inline SortKey<T> sort_key(T value, Order order) {
  using Key = SortKey<T>;
  constexpr Key kSign = static_cast<Key>(Key{1} << (8 * sizeof(Key) - 1));
  constexpr Key kOnes = static_cast<Key>(~Key{0});
  Key key = 0;
  if constexpr (std::is_floating_point_v<Acc<T>>) {
    const auto wide = static_cast<Acc<T>>(value);
    const Key bits = wide == 0 ? Key{0} : __builtin_bit_cast(Key, value);
    // Bits of negative numbers grow with their size.
    key = static_cast<Key>(bits & kSign ? ~bits : bits | kSign);
    if (wide != wide) key = kOnes;
  } else if constexpr (std::is_signed_v<T>) {
    key = static_cast<Key>(value) ^ kSign;
  } else {
    key = static_cast<Key>(value);
  }
  return order == Order::kAscending ? key : static_cast<Key>(~key);
}

}  // namespace kernels
}  // namespace trireme

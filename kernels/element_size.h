// Kernels that only move elements care for their size, not their type.

#pragma once

#include <cstdint>

#include "core/base/dtype.h"

namespace trireme::kernels {

/// Calls fn(TypeTag<T>) with the unsigned integer type of the size of a dtype's elements.
template <typename Fn>
decltype(auto) dispatch_size(DType dtype, Fn&& fn) {
  switch (size_of(dtype)) {
    case 8:
      return fn(TypeTag<uint64_t>{});
    case 4:
      return fn(TypeTag<uint32_t>{});
    case 2:
      return fn(TypeTag<uint16_t>{});
    default:
      return fn(TypeTag<uint8_t>{});
  }
}

}  // namespace trireme::kernels

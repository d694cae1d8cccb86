// Sets of dimensions as an op is given them: a bit each.

#pragma once

#include <cstdint>
#include <span>

#include "core/base/error.h"
#include "core/base/shape.h"

namespace trireme::detail {

/// Bit d is set for each dimension in `dims`, where -1 counts from the end. Throws InvalidArgument
/// naming `op` for one outside of `shape` or given twice.
inline uint32_t dim_bits(const char* op, std::span<const int> dims, const Shape& shape) {
  uint32_t bits = 0;
  for (int dim : dims) {
    const uint32_t bit = 1u << normalize_dim(op, dim, shape.rank());
    require((bits & bit) == 0, op, "dimension ", dim, " of ", shape, " is given twice");
    bits |= bit;
  }
  return bits;
}

inline uint32_t all_dim_bits(const Shape& shape) { return (1u << shape.rank()) - 1; }

}  // namespace trireme::detail

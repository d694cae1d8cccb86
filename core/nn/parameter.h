// How layers make their parameters.

#pragma once

#include "core/tensor/allocator.h"
#include "core/tensor/create.h"

namespace trireme::detail {

/// An uninitialised leaf that collects gradients, counted as a parameter. Requires positive
/// extents.
inline Tensor parameter(const Shape& shape, TensorOptions options) {
  for (int64_t extent : shape) {
    require(extent > 0, "layer", "sizes must be positive, got ", shape);
  }
  const MemoryKindGuard kind(MemoryKind::kParameters);
  return empty(shape, options).set_requires_grad();
}

}  // namespace trireme::detail

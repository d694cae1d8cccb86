// Views without history: the same elements under another shape. The differentiable functions of
// the same names are in core/ops/ops.h; these live in namespace trireme::views.

#pragma once

#include "core/tensor/tensor.h"

namespace trireme::views {

/// Any shape and strides >= 0 over the same storage, `offset` elements from its start. Throws where
/// that would leave the storage.
Tensor as_strided(const Tensor& x, const Shape& shape, const Strides& strides, int64_t offset);
/// One extent may be -1. Returns a view where strides allow it, else a contiguous copy.
Tensor reshape(const Tensor& x, const Shape& shape);
Tensor transpose(const Tensor& x, int dim0, int dim1);
/// Elements [begin, end) of `dim`.
Tensor slice(const Tensor& x, int dim, int64_t begin, int64_t end);
/// NumPy broadcasting to `shape`, without copying. An extent of -1 keeps x's.
Tensor expand(const Tensor& x, const Shape& shape);

}  // namespace trireme::views

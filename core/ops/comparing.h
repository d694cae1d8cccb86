// Comparisons and logic, elementwise and broadcasting; results are bool and have no gradient. Part
// of core/ops/ops.h.

#pragma once

#include "core/tensor/tensor.h"

namespace trireme {

/// Operands of one dtype, any. With a NaN all are false but not_equal, which is true.
Tensor equal(const Tensor& a, const Tensor& b);
Tensor not_equal(const Tensor& a, const Tensor& b);
Tensor greater(const Tensor& a, const Tensor& b);
Tensor greater_equal(const Tensor& a, const Tensor& b);
Tensor less(const Tensor& a, const Tensor& b);
Tensor less_equal(const Tensor& a, const Tensor& b);
/// With `value` converted to x's dtype; integers refuse one that is not whole.
Tensor equal(const Tensor& x, double value);
Tensor not_equal(const Tensor& x, double value);
Tensor greater(const Tensor& x, double value);
Tensor greater_equal(const Tensor& x, double value);
Tensor less(const Tensor& x, double value);
Tensor less_equal(const Tensor& x, double value);

/// Of bool operands; anything else becomes bool by not_equal(x, 0).
Tensor logical_and(const Tensor& a, const Tensor& b);
Tensor logical_or(const Tensor& a, const Tensor& b);
Tensor logical_xor(const Tensor& a, const Tensor& b);
Tensor logical_not(const Tensor& x);

}  // namespace trireme

// Roots whose gradient at 0 is 0, where calculus has infinity: a norm or a deviation of nothing but
// zeros then does not turn what lies behind it into NaN.

#pragma once

#include "core/ops/ops.h"

namespace trireme::detail {

/// x^exponent for x >= 0; 0 with a gradient of 0 where x is 0.
inline Tensor safe_power(const Tensor& x, double exponent) {
  const Tensor is_zero = equal(x.detach(), 0);
  return masked_fill(pow(masked_fill(x, is_zero, 1), exponent), is_zero, 0);
}

}  // namespace trireme::detail

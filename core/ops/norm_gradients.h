// The gradients of a normalisation from ops, so that they can be differentiated again.

#pragma once

#include <array>
#include <span>

#include "core/ops/ops.h"

namespace trireme::detail {

/// Of y = gamma (x - mean) / sqrt(var + eps) + beta, with mean and var over `dims` of x seen with
/// the shape `grouped`; gamma (or undefined) [x's last extent]. Gives the gradients of x and gamma
/// in their dtypes, and that of beta in the dtype of statistics: with n = (x - mean) rstd and g =
/// dy gamma, dx = rstd (g - mean(g) - n mean(g n)).
inline std::array<Tensor, 3> norm_gradients(const Tensor& x, const Tensor& gamma, const Tensor& dy,
                                            double eps, const Shape& grouped,
                                            std::span<const int> dims) {
  const DType wide = acc_dtype(x.dtype());
  const auto average = [&](const Tensor& v) { return mean(v, dims, KeepDim::kYes); };
  const auto group = [&](const Tensor& v) { return reshape(v, grouped); };
  const Tensor values = group(to(x, wide)), upstream = to(dy, wide);
  const Tensor centred = values - average(values);
  const Tensor rstd = rsqrt(average(square(centred)) + eps);
  const Tensor n = centred * rstd;
  const Tensor g = group(gamma ? upstream * to(gamma, wide) : upstream);
  const Tensor dx = rstd * (g - average(g) - n * average(g * n));
  const Shape factor{x.size(-1)};
  const Tensor dgamma = sum_to(upstream * reshape(n, x.shape()), factor);
  return {to(reshape(dx, x.shape()), x.dtype()), gamma ? to(dgamma, gamma.dtype()) : dgamma,
          sum_to(upstream, factor)};
}

}  // namespace trireme::detail

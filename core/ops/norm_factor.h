// The optional factors of a normalisation, gamma and beta: one number per feature.

#pragma once

#include <cmath>

#include "core/ops/as_rows.h"
#include "core/ops/check.h"
#include "core/tensor/copy.h"

namespace trireme::detail {

/// `factor` is undefined, or [features] like x's last dimension, of x's dtype and device.
inline void check_norm_factor(const char* op, const char* what, const Tensor& factor,
                              const Tensor& x) {
  if (!factor) return;
  require(factor.shape() == Shape{x.size(-1)}, op, what, " must be [", x.size(-1), "] for x of ",
          x.shape(), ", got ", factor.shape());
  require(factor.dtype() == x.dtype() && factor.device() == x.device(), op, what,
          " and x must agree, ", what, " is ", factor.dtype(), " on ", factor.device(),
          " but x is ", x.dtype(), " on ", x.device());
}

/// `t` is undefined, or [channels] like x's last dimension, on x's device, of the dtype in which x
/// is summed or of `also`: beside 16-bit x, factors and statistics may be f32.
inline void check_channel_factor(const char* op, const char* what, const Tensor& t, const Tensor& x,
                                 DType also) {
  if (!t) return;
  const DType wide = acc_dtype(x.dtype());
  require(t.dtype() == wide || t.dtype() == also, op, what, " must be ", wide, " for x of ",
          x.dtype(), ", got ", t.dtype(), "; convert with to()");
  require(t.device() == x.device(), op, "devices differ, x is on ", x.device(), " but ", what,
          " is on ", t.device());
  require(t.shape() == Shape{x.size(-1)}, op, what, " must be [", x.size(-1), "] for x of ",
          x.shape(), ", got ", t.shape());
}

/// What keeps the root of a variance away from 0.
inline void check_eps(const char* op, double eps) {
  require(eps >= 0 && std::isfinite(eps), op, "eps must be at least 0 and finite, got ", eps);
}

/// The share of a new batch in a running average.
inline void check_momentum(const char* op, double momentum) {
  require(momentum >= 0 && momentum <= 1, op, "momentum must be in [0, 1], got ", momentum);
}

template <typename T>
T* data_or_null(const Tensor& x) {
  return x ? x.data<T>() : nullptr;
}

/// A factor as the kernels read it: dense, in the dtype of statistics. May be undefined.
inline Tensor wide_factor(const Tensor& factor) {
  return factor ? dense(cast(factor, acc_dtype(factor.dtype()))) : factor;
}

}  // namespace trireme::detail

// A convolution and the batch normalisation behind it, in evaluation.

#pragma once

#include "core/ops/ops.h"

namespace trireme {

/// Batch normalisation by running statistics, which do not change. gamma and beta may be undefined.
/// What batch_norm asks of them holds here.
struct FrozenNorm {
  Tensor gamma, beta, running_mean, running_var;
  double eps = 1e-5;
};

/// batch_norm(conv2d(x, weight)) or, with `relu`, batch_norm_relu of it and the residual, which may
/// be undefined. Where nothing records, the result passes through memory once where cuDNN can do
/// that, and twice elsewhere; it is rounded once then. Otherwise the ops that it is made of.
Tensor conv2d_batch_norm(const Tensor& x, const Tensor& weight, const Conv2dOptions& options,
                         const FrozenNorm& norm, bool relu, const Tensor& residual = {});

}  // namespace trireme

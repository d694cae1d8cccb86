// The passes of batch normalisation one behind the other, on either device.

#pragma once

#include "kernels/batch_norm_whole.h"

namespace trireme::kernels {

template <typename T>
MatrixView<T> rows_of(const NormedShape& s, T* data) {
  return {data, s.rows(), s.channels, s.channels};
}

template <typename Device, typename T>
void run_passes(Device device, const BatchNormStep<T>& n, const RunningMoments<Acc<T>>& running) {
  const auto x = rows_of(n.shape, n.x);
  const auto y = rows_of(n.shape, n.y);
  batch_moments<T>(device, x, n.eps, running, n.mean, n.rstd);
  if (n.end == NormEnd::kPlain) {
    return batch_norm<T>(device, x, n.mean, n.rstd, n.gamma, n.beta, y);
  }
  const T* residual = n.end == NormEnd::kAddRelu ? n.residual : nullptr;
  batch_norm_relu<T>(device, x, n.mean, n.rstd, n.gamma, n.beta, rows_of(n.shape, residual), y);
}

template <typename Device, typename T>
void run_passes(Device device, const BatchNormGradient<T>& n) {
  const auto x = rows_of(n.shape, n.x);
  const auto dx = rows_of(n.shape, n.dx);
  auto upstream = rows_of(n.shape, n.dy);
  if (n.end == NormEnd::kRelu) {
    batch_norm_before_relu_sums<T>(device, x, n.mean, n.rstd, n.gamma, n.beta, upstream, n.dgamma,
                                   n.dbeta);
    return batch_norm_before_relu_input_gradient<T>(device, x, n.mean, n.rstd, n.gamma, n.beta,
                                                    n.dgamma, n.dbeta, upstream, dx);
  }
  if (n.end == NormEnd::kPlain) {
    batch_norm_sums<T>(device, x, n.mean, n.rstd, upstream, n.dgamma, n.dbeta);
  } else {
    const auto g = rows_of(n.shape, n.g ? n.g : n.dx);
    batch_norm_relu_sums<T>(device, x, n.mean, n.rstd, rows_of(n.shape, n.y), upstream, g, n.dgamma,
                            n.dbeta);
    upstream = g;
  }
  batch_norm_input_gradient<T>(device, x, n.mean, n.rstd, n.gamma, n.dgamma, n.dbeta, upstream, dx);
}

}  // namespace trireme::kernels

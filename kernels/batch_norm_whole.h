// A whole training step of batch normalisation and of its gradients: the passes of
// kernels/batch_norm.h, one behind the other.
//
// On CUDA cuDNN may do it in fewer (kernels/batch_norm_cuda.cc). What must come between the passes,
// such as sums over ranks, needs the passes themselves.

#pragma once

#include "kernels/batch_norm.h"

namespace trireme::kernels {

/// Images [batch, height, width, channels], dense. Each channel is normalised over all the rest.
struct NormedShape {
  int64_t batch, height, width, channels;
  int64_t rows() const { return batch * height * width; }
};

/// What y is of the normalised values: themselves, relu of them, or relu of their sum with a
/// residual.
enum class NormEnd { kPlain, kRelu, kAddRelu };

/// x, residual (kAddRelu) -> y, and the moments of x. gamma and beta may be null.
template <typename T>
struct BatchNormStep {
  NormedShape shape;
  NormEnd end;
  const T *x, *residual;
  const Acc<T>*gamma, *beta;
  Acc<T> eps;
  Acc<T>*mean, *rstd;
  T* y;
};
/// Computes that and moves `running`, as batch_moments does. Requires rows() >= 1.
template <typename T>
void batch_norm_step(Cpu, const BatchNormStep<T>& step, const RunningMoments<Acc<T>>& running);
template <typename T>
void batch_norm_step(Cuda, const BatchNormStep<T>& step, const RunningMoments<Acc<T>>& running);

/// dy -> dx, dgamma, dbeta, and, with kAddRelu where it is not null, g: the gradient of the
/// residual. y is read with kAddRelu only; dx must not be dy. Where relu was flat, an infinite or
/// undefined dy counts as 0.
template <typename T>
struct BatchNormGradient {
  NormedShape shape;
  NormEnd end;
  const T *x, *y, *dy;
  const Acc<T>*gamma, *beta, *mean, *rstd;
  T *g, *dx;
  Acc<T>*dgamma, *dbeta;
};
template <typename T>
void batch_norm_gradient(Cpu, const BatchNormGradient<T>& gradient);
template <typename T>
void batch_norm_gradient(Cuda, const BatchNormGradient<T>& gradient);

/// Moves `running` by a batch whose moments are known: the variance is what rstd was made from.
template <typename A>
void move_running(Cuda, const RunningMoments<A>& running, int64_t channels, int64_t rows, A eps,
                  const A* mean, const A* rstd);

}  // namespace trireme::kernels

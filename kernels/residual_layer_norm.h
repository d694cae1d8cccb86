// The addition of a residual branch and the layer normalisation behind it, in one pass.

#pragma once

#include "core/base/device_tag.h"
#include "core/base/half.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// sum = x + residual, rounded to T, and y = layer_norm(sum) as kernels/layer_norm.h says, with the
/// mean and rstd of sum; where mean is null, by the root mean square. gamma and beta may be null.
/// All views have the same extents; sum may be x or residual.
template <typename T>
void residual_layer_norm(Cpu, MatrixView<const T> x, MatrixView<const T> residual, const T* gamma,
                         const T* beta, double eps, MatrixView<T> sum, MatrixView<T> y,
                         Acc<T>* mean, Acc<T>* rstd);
template <typename T>
void residual_layer_norm(Cuda, MatrixView<const T> x, MatrixView<const T> residual, const T* gamma,
                         const T* beta, double eps, MatrixView<T> sum, MatrixView<T> y,
                         Acc<T>* mean, Acc<T>* rstd);

/// dx = dsum + the gradient through layer_norm_backward of `sum` and dy: what both x and residual
/// get. dsum.data may be null: 0. dx must not be null; dgamma and dbeta may.
template <typename T>
void residual_layer_norm_backward(Cpu, MatrixView<const T> sum, const T* gamma, const Acc<T>* mean,
                                  const Acc<T>* rstd, MatrixView<const T> dy,
                                  MatrixView<const T> dsum, MatrixView<T> dx, T* dgamma, T* dbeta);
template <typename T>
void residual_layer_norm_backward(Cuda, MatrixView<const T> sum, const T* gamma, const Acc<T>* mean,
                                  const Acc<T>* rstd, MatrixView<const T> dy,
                                  MatrixView<const T> dsum, MatrixView<T> dx, T* dgamma, T* dbeta);

/// The same between products of 16 bits that an f32 residual stream accompanies: x is read, and y
/// and its gradient pass, as Low; sum and its gradient are f32, and so is all arithmetic.
template <typename Low>
void residual_layer_norm_between(Cpu, MatrixView<const Low> x, MatrixView<const float> residual,
                                 const float* gamma, const float* beta, double eps,
                                 MatrixView<float> sum, MatrixView<Low> y, float* mean,
                                 float* rstd);
template <typename Low>
void residual_layer_norm_between(Cuda, MatrixView<const Low> x, MatrixView<const float> residual,
                                 const float* gamma, const float* beta, double eps,
                                 MatrixView<float> sum, MatrixView<Low> y, float* mean,
                                 float* rstd);
/// dx for the residual, and rounded for x (dx_low).
template <typename Low>
void residual_layer_norm_between_backward(Cpu, MatrixView<const float> sum, const float* gamma,
                                          const float* mean, const float* rstd,
                                          MatrixView<const Low> dy, MatrixView<const float> dsum,
                                          MatrixView<float> dx, MatrixView<Low> dx_low,
                                          float* dgamma, float* dbeta);
template <typename Low>
void residual_layer_norm_between_backward(Cuda, MatrixView<const float> sum, const float* gamma,
                                          const float* mean, const float* rstd,
                                          MatrixView<const Low> dy, MatrixView<const float> dsum,
                                          MatrixView<float> dx, MatrixView<Low> dx_low,
                                          float* dgamma, float* dbeta);

}  // namespace trireme::kernels

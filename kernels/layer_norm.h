// Layer normalisation over the columns of each row, root-mean-square normalisation, and their
// gradients.
//
// Ba, Kiros, Hinton, "Layer normalization", 2016. Zhang, Sennrich, "Root mean square layer
// normalization", 2019.

#pragma once

#include "core/base/device_tag.h"
#include "core/base/half.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// y[r, c] = (x[r, c] - mean[r]) * rstd[r] * gamma[c] + beta[c], with rstd = 1 / sqrt(var + eps)
/// and var the mean squared deviation. mean and rstd [rows] are written for the gradient. gamma and
/// beta [cols] may be null. A row stays in the cache between its three passes. Where mean is null,
/// it is the norm by the root mean square: mean is 0 in all formulas.
template <typename T>
void layer_norm(Cpu, MatrixView<const T> x, const T* gamma, const T* beta, double eps,
                MatrixView<T> y, Acc<T>* mean, Acc<T>* rstd);
template <typename T>
void layer_norm(Cuda, MatrixView<const T> x, const T* gamma, const T* beta, double eps,
                MatrixView<T> y, Acc<T>* mean, Acc<T>* rstd);

/// With xhat = (x - mean) rstd and g = dy gamma:
///   dx = rstd (g - mean_c(g) - xhat mean_c(g xhat)), dgamma = sum_r(dy xhat), dbeta = sum_r(dy).
/// Where mean is null (the root mean square), so is mean_c(g). gamma may be null. dx.data, dgamma
/// and dbeta may be null: that gradient is not wanted. The sums over rows have one order whatever
/// the number of threads.
template <typename T>
void layer_norm_backward(Cpu, MatrixView<const T> x, const T* gamma, const Acc<T>* mean,
                         const Acc<T>* rstd, MatrixView<const T> dy, MatrixView<T> dx, T* dgamma,
                         T* dbeta);
template <typename T>
void layer_norm_backward(Cuda, MatrixView<const T> x, const T* gamma, const Acc<T>* mean,
                         const Acc<T>* rstd, MatrixView<const T> dy, MatrixView<T> dx, T* dgamma,
                         T* dbeta);

}  // namespace trireme::kernels

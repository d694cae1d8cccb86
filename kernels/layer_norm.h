// Layer normalisation over the columns of each row, and its gradients.
//
// Ba, Kiros, Hinton, "Layer normalization", 2016.

#pragma once

#include "kernels/device_tag.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// y[r, c] = (x[r, c] - mean[r]) * rstd[r] * gamma[c] + beta[c], with rstd = 1 / sqrt(var + eps)
/// and var the mean squared deviation. mean and rstd [rows] are written for the gradient. gamma and
/// beta [cols] may be null. A row stays in the cache between its three passes.
void layer_norm(Cpu, MatrixView<const float> x, const float* gamma, const float* beta, double eps,
                MatrixView<float> y, float* mean, float* rstd);
void layer_norm(Cpu, MatrixView<const double> x, const double* gamma, const double* beta,
                double eps, MatrixView<double> y, double* mean, double* rstd);

/// With xhat = (x - mean) rstd and g = dy gamma:
///   dx = rstd (g - mean_c(g) - xhat mean_c(g xhat)), dgamma = sum_r(dy xhat), dbeta = sum_r(dy).
/// gamma may be null. dx.data, dgamma and dbeta may be null: that gradient is not wanted. The sums
/// over rows have one order whatever the number of threads.
void layer_norm_backward(Cpu, MatrixView<const float> x, const float* gamma, const float* mean,
                         const float* rstd, MatrixView<const float> dy, MatrixView<float> dx,
                         float* dgamma, float* dbeta);
void layer_norm_backward(Cpu, MatrixView<const double> x, const double* gamma, const double* mean,
                         const double* rstd, MatrixView<const double> dy, MatrixView<double> dx,
                         double* dgamma, double* dbeta);

}  // namespace trireme::kernels

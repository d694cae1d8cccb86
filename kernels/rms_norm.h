// Root-mean-square normalisation over the columns of each row, and its gradients.
//
// Zhang, Sennrich, "Root mean square layer normalization", 2019.

#pragma once

#include "core/base/device_tag.h"
#include "core/base/half.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// y[r, c] = x[r, c] * rstd[r] * gamma[c] with rstd[r] = 1 / sqrt(mean_c(x[r, c]^2) + eps), which
/// is written for the gradient, [rows]. gamma [cols] may be null. A row stays in the cache between
/// its two passes.
template <typename T>
void rms_norm(Cpu, MatrixView<const T> x, const T* gamma, double eps, MatrixView<T> y,
              Acc<T>* rstd);
template <typename T>
void rms_norm(Cuda, MatrixView<const T> x, const T* gamma, double eps, MatrixView<T> y,
              Acc<T>* rstd);

/// With xhat = x rstd and g = dy gamma: dx = rstd (g - xhat mean_c(g xhat)),
/// dgamma = sum_r(dy xhat). gamma may be null. dx.data and dgamma may be null: that gradient is not
/// wanted. The sums over rows have one order whatever the number of threads.
template <typename T>
void rms_norm_backward(Cpu, MatrixView<const T> x, const T* gamma, const Acc<T>* rstd,
                       MatrixView<const T> dy, MatrixView<T> dx, T* dgamma);
template <typename T>
void rms_norm_backward(Cuda, MatrixView<const T> x, const T* gamma, const Acc<T>* rstd,
                       MatrixView<const T> dy, MatrixView<T> dx, T* dgamma);

}  // namespace trireme::kernels

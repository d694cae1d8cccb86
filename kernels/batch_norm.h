// Batch normalisation over the rows of each column (channels lie last), and its gradients.
//
// Ioffe, Szegedy, "Batch normalization", 2015.

#pragma once

#include "kernels/device_tag.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// mean[c] and var[c]: mean and mean squared deviation of column c. Two passes over x: the mean
/// first, because E[x^2] - mean^2 loses all digits where the mean is large. The sums have one order
/// whatever the number of threads. Requires rows >= 1.
template <typename T>
void column_moments(Cpu, MatrixView<const T> x, T* mean, T* var);

/// y[r, c] = (x[r, c] - mean[c]) * rstd[c] * gamma[c] + beta[c]. gamma and beta may be null. Reads
/// x once, writes y once; y may be x.
template <typename T>
void batch_norm(Cpu, MatrixView<const T> x, const T* mean, const T* rstd, const T* gamma,
                const T* beta, MatrixView<T> y);

/// With xhat = (x - mean) rstd: dgamma = sum_r(dy xhat), dbeta = sum_r(dy), one pass over x and dy.
/// The sums have one order whatever the number of threads.
template <typename T>
void batch_norm_sums(Cpu, MatrixView<const T> x, const T* mean, const T* rstd,
                     MatrixView<const T> dy, T* dgamma, T* dbeta);

/// dx = gamma rstd (dy - dbeta / rows - xhat dgamma / rows), where mean and rstd came from x itself
/// (training): they depend on it. gamma may be null.
template <typename T>
void batch_norm_input_gradient(Cpu, MatrixView<const T> x, const T* mean, const T* rstd,
                               const T* gamma, const T* dgamma, const T* dbeta,
                               MatrixView<const T> dy, MatrixView<T> dx);

}  // namespace trireme::kernels

// Batch normalisation over the rows of each column (channels lie last), and its gradients.
//
// Ioffe, Szegedy, "Batch normalization", 2015.

#pragma once

#include "core/base/device_tag.h"
#include "core/base/half.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// mean[c] and var[c]: mean and mean squared deviation of column c. Two passes over x: the mean
/// first, because E[x^2] - mean^2 loses all digits where the mean is large. On CUDA one pass, over
/// deviations from a mean guessed from a few rows. The sums have one order whatever the number of
/// threads. Requires rows >= 1.
template <typename T>
void column_moments(Cpu, MatrixView<const T> x, Acc<T>* mean, Acc<T>* var);
template <typename T>
void column_moments(Cuda, MatrixView<const T> x, Acc<T>* mean, Acc<T>* var);

/// y[r, c] = (x[r, c] - mean[c]) * rstd[c] * gamma[c] + beta[c]. gamma and beta may be null. Reads
/// x once, writes y once; y may be x.
template <typename T>
void batch_norm(Cpu, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                const Acc<T>* gamma, const Acc<T>* beta, MatrixView<T> y);
template <typename T>
void batch_norm(Cuda, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                const Acc<T>* gamma, const Acc<T>* beta, MatrixView<T> y);

/// With xhat = (x - mean) rstd: dgamma = sum_r(dy xhat), dbeta = sum_r(dy), one pass over x and dy.
/// The sums have one order whatever the number of threads.
template <typename T>
void batch_norm_sums(Cpu, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                     MatrixView<const T> dy, Acc<T>* dgamma, Acc<T>* dbeta);
template <typename T>
void batch_norm_sums(Cuda, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                     MatrixView<const T> dy, Acc<T>* dgamma, Acc<T>* dbeta);

/// dx = gamma rstd (dy - dbeta / rows - xhat dgamma / rows), where mean and rstd came from x itself
/// (training): they depend on it. gamma may be null.
template <typename T>
void batch_norm_input_gradient(Cpu, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                               const Acc<T>* gamma, const Acc<T>* dgamma, const Acc<T>* dbeta,
                               MatrixView<const T> dy, MatrixView<T> dx);
template <typename T>
void batch_norm_input_gradient(Cuda, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                               const Acc<T>* gamma, const Acc<T>* dgamma, const Acc<T>* dbeta,
                               MatrixView<const T> dy, MatrixView<T> dx);

}  // namespace trireme::kernels

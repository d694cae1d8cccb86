// Batch normalisation over the rows of each column (channels lie last), and its gradients.
//
// Ioffe, Szegedy, "Batch normalization", 2015.

#pragma once

#include "core/base/device_tag.h"
#include "core/base/half.h"
#include "core/base/host_device.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// Running averages of the columns' moments, which a batch moves: mean += momentum (the batch's -
/// mean), and var likewise with the unbiased variance of the batch.
template <typename A>
struct RunningMoments {
  A* mean = nullptr;  // null: there are none
  A* var = nullptr;
  A momentum = 0;
};
/// How column c of `running` moves for a batch of `rows` with that mean and (biased) variance.
template <typename A>
TRIREME_HD inline void move_running(const RunningMoments<A>& running, int64_t c, int64_t rows,
                                    A mean, A var) {
  const A kept = A(1) - running.momentum;
  const A unbiased = var * (static_cast<A>(rows) / static_cast<A>(rows - 1));
  running.mean[c] = kept * running.mean[c] + running.momentum * mean;
  running.var[c] = kept * running.var[c] + running.momentum * unbiased;
}

/// mean[c] of column c and rstd[c] = 1 / sqrt(var + eps), where var is its mean squared deviation;
/// moves `running`, which requires rows >= 2. Two passes over x: the mean first, because E[x^2] -
/// mean^2 loses all digits where the mean is large. On CUDA one pass, over deviations from a mean
/// guessed from a few rows. The sums have one order whatever the number of threads. Requires
/// rows >= 1.
template <typename T>
void batch_moments(Cpu, MatrixView<const T> x, Acc<T> eps, RunningMoments<Acc<T>> running,
                   Acc<T>* mean, Acc<T>* rstd);
template <typename T>
void batch_moments(Cuda, MatrixView<const T> x, Acc<T> eps, RunningMoments<Acc<T>> running,
                   Acc<T>* mean, Acc<T>* rstd);

/// y[r, c] = (x[r, c] - mean[c]) * rstd[c] * gamma[c] + beta[c]. gamma and beta may be null. Reads
/// x once, writes y once; y may be x.
template <typename T>
void batch_norm(Cpu, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                const Acc<T>* gamma, const Acc<T>* beta, MatrixView<T> y);
template <typename T>
void batch_norm(Cuda, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                const Acc<T>* gamma, const Acc<T>* beta, MatrixView<T> y);

/// y = relu(what batch_norm gives + residual). residual.data may be null: nothing is added. y may
/// be x.
template <typename T>
void batch_norm_relu(Cpu, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                     const Acc<T>* gamma, const Acc<T>* beta, MatrixView<const T> residual,
                     MatrixView<T> y);
template <typename T>
void batch_norm_relu(Cuda, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                     const Acc<T>* gamma, const Acc<T>* beta, MatrixView<const T> residual,
                     MatrixView<T> y);

/// With xhat = (x - mean) rstd: dgamma = sum_r(dy xhat), dbeta = sum_r(dy), one pass over x and dy.
/// The sums have one order whatever the number of threads.
template <typename T>
void batch_norm_sums(Cpu, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                     MatrixView<const T> dy, Acc<T>* dgamma, Acc<T>* dbeta);
template <typename T>
void batch_norm_sums(Cuda, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                     MatrixView<const T> dy, Acc<T>* dgamma, Acc<T>* dbeta);

/// g = dy where y, the result of batch_norm_relu, is not 0, else 0: the gradient of what relu took,
/// and so of the residual. dgamma and dbeta as batch_norm_sums of g, in the same pass.
template <typename T>
void batch_norm_relu_sums(Cpu, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                          MatrixView<const T> y, MatrixView<const T> dy, MatrixView<T> g,
                          Acc<T>* dgamma, Acc<T>* dbeta);
template <typename T>
void batch_norm_relu_sums(Cuda, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                          MatrixView<const T> y, MatrixView<const T> dy, MatrixView<T> g,
                          Acc<T>* dgamma, Acc<T>* dbeta);

/// dx = gamma rstd (dy - dbeta / rows - xhat dgamma / rows), where mean and rstd came from x itself
/// (training): they depend on it. gamma may be null; dx may be dy.
template <typename T>
void batch_norm_input_gradient(Cpu, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                               const Acc<T>* gamma, const Acc<T>* dgamma, const Acc<T>* dbeta,
                               MatrixView<const T> dy, MatrixView<T> dx);
template <typename T>
void batch_norm_input_gradient(Cuda, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                               const Acc<T>* gamma, const Acc<T>* dgamma, const Acc<T>* dbeta,
                               MatrixView<const T> dy, MatrixView<T> dx);

/// The same two passes behind relu(batch_norm(x)), which had no residual: in both, dy counts only
/// where what relu took is above 0, which is computed again from x. So nothing is read of y,
/// nothing written in between. beta may be null. dx must not be dy.
template <typename T>
void batch_norm_before_relu_sums(Cpu, MatrixView<const T> x, const Acc<T>* mean, const Acc<T>* rstd,
                                 const Acc<T>* gamma, const Acc<T>* beta, MatrixView<const T> dy,
                                 Acc<T>* dgamma, Acc<T>* dbeta);
template <typename T>
void batch_norm_before_relu_sums(Cuda, MatrixView<const T> x, const Acc<T>* mean,
                                 const Acc<T>* rstd, const Acc<T>* gamma, const Acc<T>* beta,
                                 MatrixView<const T> dy, Acc<T>* dgamma, Acc<T>* dbeta);
template <typename T>
void batch_norm_before_relu_input_gradient(Cpu, MatrixView<const T> x, const Acc<T>* mean,
                                           const Acc<T>* rstd, const Acc<T>* gamma,
                                           const Acc<T>* beta, const Acc<T>* dgamma,
                                           const Acc<T>* dbeta, MatrixView<const T> dy,
                                           MatrixView<T> dx);
template <typename T>
void batch_norm_before_relu_input_gradient(Cuda, MatrixView<const T> x, const Acc<T>* mean,
                                           const Acc<T>* rstd, const Acc<T>* gamma,
                                           const Acc<T>* beta, const Acc<T>* dgamma,
                                           const Acc<T>* dbeta, MatrixView<const T> dy,
                                           MatrixView<T> dx);

}  // namespace trireme::kernels

// A convolution, batch normalisation by statistics that are known (evaluation), and what follows
// it, as one op: on CUDA the result of the convolution need not pass through memory (16-bit types).

#pragma once

#include <cmath>

#include "kernels/batch_norm_whole.h"
#include "kernels/conv2d.h"

namespace trireme::kernels {

/// The normalisation as y scale + shift, a number of each per channel: scale = gamma / sqrt(var +
/// eps), shift = beta - mean scale. gamma and beta may be null.
template <typename A>
struct FoldedNorm {
  const A *gamma, *beta, *mean, *var;
  A eps;
  A *scale, *shift;
  template <int N>
  TRIREME_HD void run(int64_t c) const {
    const A inverse = A(1) / std::sqrt(var[c] + eps);
    scale[c] = gamma ? inverse * gamma[c] : inverse;
    shift[c] = (beta ? beta[c] : A(0)) - mean[c] * scale[c];
  }
};

/// y = end(conv2d(x, weight) normalised), where `norm` has a number for each channel of y and says
/// where scale and shift are to be written.
template <typename T>
struct Conv2dNorm {
  Conv2dGeometry g;
  NormEnd end;
  FoldedNorm<Acc<T>> norm;
  const T *x, *weight, *residual;
  T* y;
};
template <typename T>
void conv2d_norm(Cpu, const Conv2dNorm<T>& conv);
template <typename T>
void conv2d_norm(Cuda, const Conv2dNorm<T>& conv);

template <typename A>
void fold_norm(Cpu, int64_t channels, const FoldedNorm<A>& norm);
template <typename A>
void fold_norm(Cuda, int64_t channels, const FoldedNorm<A>& norm);

/// conv2d_norm in passes: the convolution, and the rest in place over its result. Requires scale.
template <typename Device, typename T>
void run_passes(Device device, const Conv2dNorm<T>& c) {
  conv2d<T>(device, c.g, c.x, c.weight, nullptr, c.y);
  const int64_t rows = c.g.batch * c.g.out_height() * c.g.out_width(), cols = c.g.out_channels;
  const MatrixView<T> y{c.y, rows, cols, cols};
  const Acc<T>*none = nullptr, *mean = c.norm.mean, *beta = c.norm.beta;
  if (c.end == NormEnd::kPlain) return batch_norm<T>(device, y, mean, c.norm.scale, none, beta, y);
  const T* residual = c.end == NormEnd::kAddRelu ? c.residual : nullptr;
  batch_norm_relu<T>(device, y, mean, c.norm.scale, none, beta, {residual, rows, cols, cols}, y);
}

}  // namespace trireme::kernels

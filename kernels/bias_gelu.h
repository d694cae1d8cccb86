// The bias of a layer and gelu (tanh form) behind it, in one pass each way.

#pragma once

#include "core/base/device_tag.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// y[r, c] = gelu(x[r, c] + bias[c]); y may be x.
template <typename T>
void bias_gelu(Cpu, MatrixView<const T> x, const T* bias, MatrixView<T> y);
template <typename T>
void bias_gelu(Cuda, MatrixView<const T> x, const T* bias, MatrixView<T> y);

/// dx[r, c] = dy[r, c] gelu'(x[r, c] + bias[c]), dbias[c] = sum over r of dx[r, c], in an order
/// that depends on the shape and the device only. dbias may be null; dx may be dy.
template <typename T>
void bias_gelu_backward(Cpu, MatrixView<const T> x, const T* bias, MatrixView<const T> dy,
                        MatrixView<T> dx, T* dbias);
template <typename T>
void bias_gelu_backward(Cuda, MatrixView<const T> x, const T* bias, MatrixView<const T> dy,
                        MatrixView<T> dx, T* dbias);

}  // namespace trireme::kernels

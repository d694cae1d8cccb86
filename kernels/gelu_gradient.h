// What flows back through gelu (tanh form) and the bias in front of it, together.

#pragma once

#include "core/base/device_tag.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// dx[r, c] = dy[r, c] gelu'(x[r, c]), dbias[c] = sum over r of dx[r, c], in an order that depends
/// on the shape and the device only. x, dy and dx are dense; dx may be dy. One pass.
template <typename T>
void gelu_bias_gradient(Cpu, MatrixView<const T> x, MatrixView<const T> dy, MatrixView<T> dx,
                        T* dbias);
template <typename T>
void gelu_bias_gradient(Cuda, MatrixView<const T> x, MatrixView<const T> dy, MatrixView<T> dx,
                        T* dbias);

}  // namespace trireme::kernels

// The two products of a transformer's MLP that meet GELU (tanh form): forward behind the first
// linear layer, backward before the second one's input gradient.
//
// On the CPU a product and passes over its result. On CUDA cuBLASLt may do it all in the product's
// epilogue, which saves a pass over the hidden activations, or cost more than it saves: whichever
// way is faster for a shape is found by timing both in its first call.

#pragma once

#include <type_traits>

#include "core/base/device_tag.h"
#include "core/base/half.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// pre = x weight + bias, y = gelu(pre). x: [rows, in], weight: [in, out], any strides; bias:
/// [out]; pre, y: [rows, out], dense. What backward needs is pre.
template <typename T>
void matmul_gelu(Cpu, StridedView<const T> x, StridedView<const T> weight,
                 const std::type_identity_t<T>* bias, MatrixView<T> pre, MatrixView<T> y);
template <typename T>
void matmul_gelu(Cuda, StridedView<const T> x, StridedView<const T> weight,
                 const std::type_identity_t<T>* bias, MatrixView<T> pre, MatrixView<T> y);

/// dpre = (dz weight) gelu'(pre), dbias = its column sums. dz: [rows, in], weight: [in, out] (the
/// next layer's, transposed), any strides; pre, dpre: [rows, out], dense.
template <typename T>
void matmul_gelu_backward(Cpu, StridedView<const T> dz, StridedView<const T> weight,
                          MatrixView<const T> pre, MatrixView<T> dpre,
                          std::type_identity_t<T>* dbias);
template <typename T>
void matmul_gelu_backward(Cuda, StridedView<const T> dz, StridedView<const T> weight,
                          MatrixView<const T> pre, MatrixView<T> dpre,
                          std::type_identity_t<T>* dbias);

}  // namespace trireme::kernels

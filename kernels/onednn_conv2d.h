// Convolution and its gradients of f32 or bf16 through oneDNN, on all threads of the caller.

#pragma once

#include "kernels/conv2d.h"

namespace trireme::kernels {

/// As the functions of kernels/conv2d.h; must not be called inside a parallel region. Weights are
/// copied into the layout that oneDNN likes best on each call (they are small beside the images).
/// Primitives are kept per thread by geometry and thread count. Throw Error when oneDNN refuses.
/// bf16 is summed in f32 and rounded once. They return false, and do nothing, where the processor
/// does not multiply bf16 or oneDNN has but a reference for this geometry. T is f32 or bf16.
template <typename T>
bool onednn_conv2d(const Conv2dGeometry& g, const T* x, const T* weight, const T* bias, T* y);
/// Result is T, or f32 beside bf16: the sums as they are.
template <typename T, typename Result>
bool onednn_conv2d_input_gradient(const Conv2dGeometry& g, const T* dy, const T* weight,
                                  Result* dx);
template <typename T>
bool onednn_conv2d_weight_gradient(const Conv2dGeometry& g, const T* x, const T* dy, T* dweight);

}  // namespace trireme::kernels

// Convolution and its gradients in f32 through oneDNN, on all threads of the caller.

#pragma once

#include "kernels/conv2d.h"

namespace trireme::kernels {

/// As the functions of kernels/conv2d.h; must not be called inside a parallel region. Weights are
/// copied into the layout that oneDNN likes best on each call (they are small beside the images).
/// Primitives are kept per thread by geometry and thread count. Throw Error when oneDNN refuses.
void onednn_conv2d(const Conv2dGeometry& g, const float* x, const float* weight, const float* bias,
                   float* y);
void onednn_conv2d_input_gradient(const Conv2dGeometry& g, const float* dy, const float* weight,
                                  float* dx);
void onednn_conv2d_weight_gradient(const Conv2dGeometry& g, const float* x, const float* dy,
                                   float* dweight);

}  // namespace trireme::kernels

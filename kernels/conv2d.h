// 2-d convolution of images whose channels lie last, and its gradients.
//
// f32 runs in oneDNN, and so does bf16 where the processor multiplies it; else the 16-bit types are
// widened to f32 as a whole, and the result is rounded once. f64, which oneDNN does not have, is
// written out as a product with gathered windows: the oracle of the tests.
//
// On CUDA cuDNN reads and writes all operands in place (kernels/conv2d_cuda.cc).

#pragma once

#include <cstdint>

#include "core/base/device_tag.h"

namespace trireme::kernels {

/// x: [batch, height, width, in_channels], dense. weight: [out_channels, kernel_h, kernel_w,
/// in_channels / groups]. y: [batch, out_height(), out_width(), out_channels]. Channel c of y sees
/// the in_channels / groups channels of group c / (out_channels / groups). Padding is with zeros,
/// on both sides alike.
struct Conv2dGeometry {
  int64_t batch, height, width, in_channels;
  int64_t out_channels, kernel_h, kernel_w;
  int64_t stride_h = 1, stride_w = 1;
  int64_t pad_h = 0, pad_w = 0;
  int64_t dilation_h = 1, dilation_w = 1;
  int64_t groups = 1;

  int64_t out_height() const {
    return (height + 2 * pad_h - dilation_h * (kernel_h - 1) - 1) / stride_h + 1;
  }
  int64_t out_width() const {
    return (width + 2 * pad_w - dilation_w * (kernel_w - 1) - 1) / stride_w + 1;
  }
};

/// y = conv(x, weight) + bias[out_channels]; bias may be null. 2 batch out_height out_width
/// out_channels kernel_h kernel_w in_channels / groups FLOPs, and as many for each gradient.
template <typename T>
void conv2d(Cpu, const Conv2dGeometry& g, const T* x, const T* weight, const T* bias, T* y);
template <typename T>
void conv2d(Cuda, const Conv2dGeometry& g, const T* x, const T* weight, const T* bias, T* y);

/// dx = the gradient + bias[in_channels]; bias may be null. With one it is transposed convolution,
/// from dy to dx.
template <typename T>
void conv2d_input_gradient(Cpu, const Conv2dGeometry& g, const T* dy, const T* weight,
                           const T* bias, T* dx);
template <typename T>
void conv2d_input_gradient(Cuda, const Conv2dGeometry& g, const T* dy, const T* weight,
                           const T* bias, T* dx);

template <typename T>
void conv2d_weight_gradient(Cpu, const Conv2dGeometry& g, const T* x, const T* dy, T* dweight);
template <typename T>
void conv2d_weight_gradient(Cuda, const Conv2dGeometry& g, const T* x, const T* dy, T* dweight);

}  // namespace trireme::kernels

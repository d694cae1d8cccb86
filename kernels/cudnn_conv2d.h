// 2-d convolutions of images with channels last, as graphs of cuDNN.

#pragma once

#include "kernels/batch_norm_whole.h"
#include "kernels/conv2d.h"
#include "kernels/cudnn_library.h"

namespace trireme::kernels {

/// A convolution or one of its gradients. `alignment` is that of all pointers, in bytes.
struct CudnnConv2d {
  CudnnConvolution kind;
  Conv2dGeometry g;
  cudnnDataType_t type;
  int64_t alignment;
  // Added to the f32 sums before they are rounded: [out_channels], or [in_channels] with the
  // gradient of the input. Not with that of the weight.
  bool has_bias = false;
};

CudnnKey key_of(const CudnnConv2d& conv);

/// Arguments: x (or dx), weight (or dweight), y (or dy), bias (without has_bias: not looked at).
/// Each direction writes the one it is named after. Sums in f32, or f64 for f64.
CudnnBuilt build_conv2d(CudnnGraph graph, const CudnnConv2d& conv, const CudnnFilter& filter);

CudnnKey key_of_conv2d_norm(const CudnnConv2d& conv, NormEnd end);

/// y = end(conv scale + shift), all in f32 before it is rounded. Arguments: x, weight, scale, shift
/// (f32, one number per channel of y), residual (only kAddRelu), y. Forward, without bias.
CudnnBuilt build_conv2d_norm(CudnnGraph graph, const CudnnConv2d& conv, NormEnd end,
                             const CudnnFilter& filter);

}  // namespace trireme::kernels

// Batch normalisation of images with channels last, what follows it, and the gradients, as graphs
// of cuDNN: its fused kernels keep what fits on the chip and read the rest twice.

#pragma once

#include "kernels/batch_norm_whole.h"
#include "kernels/cudnn_library.h"

namespace trireme::kernels {

struct CudnnBatchNorm {
  NormedShape shape;
  NormEnd end;
  cudnnDataType_t type;  // of images; factors and statistics are f32
};

CudnnKey key_of_batch_norm(const CudnnBatchNorm& norm);
/// A training step. Arguments: x, residual (only kAddRelu), gamma, beta, epsilon (host f32), mean,
/// rstd, y.
CudnnBuilt build_batch_norm(CudnnGraph graph, const CudnnBatchNorm& norm,
                            const CudnnFilter& filter);

CudnnKey key_of_batch_norm_gradient(const CudnnBatchNorm& norm, bool writes_g);
/// Arguments: x, y (only kAddRelu), dy, gamma, beta (only kRelu), mean, rstd, zero (host f32, only
/// kAddRelu), g (only if written), dx, dgamma, dbeta. With kRelu, where y was above 0 is computed
/// again from x; a sum's y is read.
CudnnBuilt build_batch_norm_gradient(CudnnGraph graph, const CudnnBatchNorm& norm, bool writes_g,
                                     const CudnnFilter& filter);

}  // namespace trireme::kernels

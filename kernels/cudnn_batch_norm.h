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

CudnnKey key_of_batch_norm_gradient(const CudnnBatchNorm& norm);
/// Arguments: x, dy, gamma, beta (only kRelu), mean, rstd, dx, dgamma, dbeta. With kRelu, where y
/// was above 0 is computed again from x. Not for kAddRelu: behind a mask from y, which is how that
/// gradient would have to be described, cuDNN 9.19's kernel reads outside of memory on an H200.
CudnnBuilt build_batch_norm_gradient(CudnnGraph graph, const CudnnBatchNorm& norm,
                                     const CudnnFilter& filter);

}  // namespace trireme::kernels

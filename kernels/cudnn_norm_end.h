// What follows a normalisation of images in graphs of cuDNN: a residual and relu.

#pragma once

#include "kernels/batch_norm_whole.h"
#include "kernels/cudnn_images.h"

namespace trireme::kernels {

/// y = end(normalised), images of `dims` in `type`; between them numbers are f32. Nothing is added
/// for kPlain: normalised is y then. Gives the residual, a tensor of memory only with kAddRelu.
inline CudnnTensor add_norm_end(CudnnGraph& graph, NormEnd end, cudnnDataType_t type,
                                const CudnnImages& dims, CudnnTensor normalised, CudnnTensor y) {
  CudnnTensor residual, last = normalised;
  if (end == NormEnd::kAddRelu) {
    residual = graph.tensor("residual", type, dims.extents, dims.strides);
    last = graph.temporary("sum", CUDNN_DATA_FLOAT, dims.extents, dims.strides);
    graph.pointwise("residual", CUDNN_POINTWISE_ADD, last, normalised, residual);
  }
  if (end != NormEnd::kPlain) graph.pointwise("relu", CUDNN_POINTWISE_RELU_FWD, y, last);
  return residual;
}

}  // namespace trireme::kernels

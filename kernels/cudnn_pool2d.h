// Pooling of images with channels last as graphs of cuDNN.

#pragma once

#include "kernels/cudnn_library.h"
#include "kernels/pool2d.h"

namespace trireme::kernels {

/// Pooling or its gradient; windows that are not adaptive. `place` is the type of places, of kMax.
struct CudnnPool2d {
  CudnnPool kind;
  bool is_gradient;
  Pool2dGeometry g;
  cudnnDataType_t type, place;
};

CudnnKey key_of_pool2d(const CudnnPool2d& pool);

/// Arguments: x (or dx), y (or dy), where (only kMax). Each direction writes its result.
CudnnBuilt build_pool2d(CudnnGraph graph, const CudnnPool2d& pool, const CudnnFilter& filter);

}  // namespace trireme::kernels

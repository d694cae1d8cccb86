// Images as cuDNN describes them: [batch, channels, height, width] in any memory order. Ours has
// the channels last.

#pragma once

#include "kernels/cudnn_graph.h"

namespace trireme::kernels {

struct CudnnImages {
  CudnnDims extents, strides;
};

inline CudnnImages channels_last(int64_t batch, int64_t channels, int64_t height, int64_t width) {
  return {{batch, channels, height, width},
          {height * width * channels, 1, width * channels, channels}};
}

}  // namespace trireme::kernels

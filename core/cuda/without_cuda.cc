// What a build without CUDA answers.

#include "core/base/device_tag.h"

namespace trireme {

Cuda current_cuda(int index) {
  throw CudaError(concat("cuda:", index,
                         ": this build has no CUDA; use --device cpu, or configure ",
                         "with -DTRIREME_CUDA=ON on a machine with the CUDA Toolkit"));
}

}  // namespace trireme

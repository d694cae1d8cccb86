// Batch norm and pooling as cuDNN's manual defines them, on host memory.

#pragma once

#include <functional>

#include "tests/kernels/cudnn_host_tensor.h"
#include "tests/kernels/cudnn_mock.h"

namespace trireme::testing {

/// Computes `op`; false if it is another operation. tensor(attribute) is the one of that name.
bool interpret_layer(const CudnnDescribed& op, const std::function<HostTensor(int)>& tensor);

}  // namespace trireme::testing

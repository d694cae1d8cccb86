// Computes a graph of cuDNN operations on host memory, one after another, as cuDNN's manual defines
// them: slow, and the proof of what the graphs that we build mean.

#pragma once

#include <map>

#include "tests/kernels/cudnn_mock.h"

namespace trireme::testing {

/// `memory`: where each tensor lies that is not temporary, by its number.
void interpret(const CudnnDescribed& graph, const std::map<int64_t, void*>& memory);

}  // namespace trireme::testing

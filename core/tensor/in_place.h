// What in-place operations ask of the tensor they read.

#pragma once

#include "core/tensor/tensor.h"

namespace trireme {

/// Throws InvalidArgument naming `op` where src is undefined, or needs a gradient while gradients
/// are being recorded: the operation keeps no history, so src would lose it.
void check_source(const char* op, const Tensor& src);

}  // namespace trireme

// Gradients of ops whose formula is not composed of differentiable ops.

#pragma once

#include "core/autograd/node.h"

namespace trireme {

/// dx, which `node` made of dy without a record, with a history that refuses: a second backward
/// that reaches it throws InvalidArgument with the op's name. dy may be undefined.
Tensor once_differentiable(const Node& node, const Tensor& dy, const Tensor& dx);

}  // namespace trireme

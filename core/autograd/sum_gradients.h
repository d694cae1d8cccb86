// Sums of gradients that may have a history: ops of autograd's own, which stands below core/ops.

#pragma once

#include "core/tensor/tensor.h"

namespace trireme {

/// a + b in memory of its own, with history while recording.
Tensor sum_gradients(const Tensor& a, const Tensor& b);
/// The same of one gradient.
Tensor copy_gradient(const Tensor& a);

}  // namespace trireme

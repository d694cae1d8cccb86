// Cross entropy for ops that fall back on it.

#pragma once

#include "core/tensor/tensor.h"

namespace trireme::detail {

/// cross_entropy(logits, targets, ignore_index, classes) of ops.h, whose errors name `op`.
Tensor named_cross_entropy(const char* op, const Tensor& logits, const Tensor& targets,
                           int64_t ignore_index, int64_t classes);

}  // namespace trireme::detail

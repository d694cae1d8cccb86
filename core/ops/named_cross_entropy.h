// Parts of cross entropy for ops that fall back on it; errors name `op`.

#pragma once

#include "core/tensor/tensor.h"

namespace trireme::detail {

/// That targets are [..] beside logits of [.., classes], on their device, and name counted classes.
void check_cross_entropy(const char* op, const Tensor& logits, const Tensor& targets,
                         int64_t ignore_index, int64_t classes);

/// cross_entropy(logits, targets, ignore_index, classes) of ops.h.
Tensor named_cross_entropy(const char* op, const Tensor& logits, const Tensor& targets,
                           int64_t ignore_index, int64_t classes);

}  // namespace trireme::detail

// The last step of a loss.

#pragma once

#include "core/ops/losses.h"
#include "core/ops/ops.h"

namespace trireme::detail {

inline Tensor reduced_loss(const Tensor& each, Reduction reduction) {
  if (reduction == Reduction::kNone) return each;
  return reduction == Reduction::kMean ? mean(each) : sum(each);
}

}  // namespace trireme::detail

// The steps of a recurrent layer as one op, for core/ops/recurrent.cc.

#pragma once

#include "core/tensor/tensor.h"

namespace trireme::detail {

/// Operands of a sequence of T steps: gates [T, batch, G hidden] is the input's part, h0 and (for
/// cells that have one) c0 are [batch, hidden]. hidden_bias is undefined where it is part of the
/// gates, as it may be for cells whose gates add both parts up.
struct SequenceOperands {
  Tensor gates, hidden_weight, hidden_bias, h0, c0;
  Tensor lengths;  // i64 [batch] on the same device, or undefined
  bool backward_in_time = false;
};

/// All states: [1 or 2 (c), T + 1, batch, hidden] in the order of time. The state after the step of
/// time t is entry t + 1, or entry t backward in time; the entry left over is the first state,
/// through which no gradient flows (its operand has its own).
template <typename Cell>
Tensor recurrent_sequence(const SequenceOperands& operands);

}  // namespace trireme::detail

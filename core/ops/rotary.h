// Rotary position embedding. Part of core/ops/ops.h.

#pragma once

#include <cstdint>

#include "core/tensor/tensor.h"

namespace trireme {

struct RotaryOptions {
  /// Pair d of a head turns by theta^(-2 d / head_dim) from one position to the next.
  double theta = 10000;
  int64_t first = 0;  // position of the first element of `time`
  /// How many heads turn, the first ones; the others come out as they are, as the values of a
  /// packed projection must. -1: all.
  int64_t rotated = -1;
};
/// x [batch, time, heads, head_dim] with each head turned by its position: features d and
/// d + head_dim / 2 are the coordinates of a point that goes around in a circle, so that the
/// product of a query and a key depends on their distance alone. The layout is that of Llama
/// checkpoints on Hugging Face; Meta's own pair 2 d with 2 d + 1. Requires an even head_dim. The
/// gradient is the rotation back. Su et al., "RoFormer: enhanced transformer with rotary position
/// embedding", 2021.
Tensor rotary_embedding(const Tensor& x, RotaryOptions options = {});

}  // namespace trireme

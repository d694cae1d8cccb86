// Splits parameters into buckets that are all-reduced as one message each.
//
// Planning is pure arithmetic: no tensors, no communicator, so every rank that sees the same sizes
// and order computes the same plan.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/dtype.h"

namespace trireme {

struct BucketSizes {
  int64_t head_bytes = 1 << 20;  // small, so that communication starts early
  int64_t cap_bytes = 25 << 20;  // large enough to use the wire well
  int64_t tail_bytes = 1 << 20;  // small: nothing is left to hide the last bucket behind
};

/// The same limits with a cap of at most an eighth of the model, but not below the head: a model of
/// one or two caps would have nothing left to compute while its buckets are reduced.
BucketSizes fitted_to(int64_t model_bytes, BucketSizes limits);

/// A parameter as the plan sees it.
struct GradientSize {
  int64_t count = 0;  // elements
  DType dtype = DType::kF32;
};

/// One message. In memory: each gradient at its offset, then one flag per parameter that says
/// whether this rank used it (see reducer.h).
struct Bucket {
  DType dtype = DType::kF32;
  std::vector<int> params;  // indices into the sizes given to plan_buckets, in ready order
  std::vector<int64_t> offset_bytes;  // of each gradient, aligned to kSlotAlignment
  int64_t flags_offset_bytes = 0;
  int64_t total_bytes = 0;  // flags included

  bool operator==(const Bucket&) const = default;
  int64_t count() const { return total_bytes / size_of(dtype); }  // elements to all-reduce
};

inline constexpr int64_t kSlotAlignment = 64;

/// Groups parameters in `order` (the order in which backward is expected to finish their gradients;
/// a permutation of the indices of `sizes`), a sequence of buckets per dtype. A bucket is closed by
/// the gradient that reaches its limit, so it may exceed it by one gradient, and a gradient is
/// never split. Buckets are ordered by when their last gradient is expected.
std::vector<Bucket> plan_buckets(std::span<const GradientSize> sizes, std::span<const int> order,
                                 const BucketSizes& limits);

}  // namespace trireme

// Dataset: samples by number, gathered into batches. The sampler chooses the numbers.

#pragma once

#include <cstdint>
#include <span>

#include "core/tensor/tensor.h"

namespace trireme {

/// One rank's share of one step.
struct Batch {
  Tensor inputs;
  Tensor targets;
  int64_t samples = 0;  // sequences or images; 0 for a rank without a share of a short last batch
  int64_t tokens = 0;   // targets of all sequences; 0 for images
};

/// Map-style: any sample can be had by its number in [0, size()). Const methods may be called from
/// any thread, and by several at a time. A dataset says how a batch is allocated and how one sample
/// is written into it; so several threads can fill one batch.
class Dataset {
 public:
  static constexpr int64_t kUnchanged = -1;

  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  /// Samples that one pass over the data takes: fewer than size() where samples overlap.
  virtual int64_t pass_size() const { return size(); }

  /// Fresh CPU tensors for `count` samples, their values not written yet. Requires count >= 1.
  virtual Batch allocate(int64_t count) const = 0;
  /// Writes sample `index` to place `place` of a batch from allocate(). For training step `step` it
  /// is changed at random, where the dataset does that: how, depends on step and index only; for
  /// kUnchanged it is not. Several threads may write to different places of one batch. Throws
  /// DataError when the data behind the sample is wrong.
  virtual void fill(const Batch& batch, int64_t place, int64_t index, int64_t step) const = 0;
  /// How many samples are worth handing to another thread: more than 1 where one is made in less
  /// than some ten microseconds.
  virtual int64_t grain() const { return 1; }

  /// The samples of these numbers, in this order (an empty batch if there are none).
  Batch collate(std::span<const int64_t> indices, int64_t step = kUnchanged) const;
};

}  // namespace trireme

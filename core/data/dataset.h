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
/// any thread, and by several at a time.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  /// Samples that one pass over the data takes: fewer than size() where samples overlap.
  virtual int64_t pass_size() const { return size(); }
  /// The samples of these numbers, in this order, as fresh CPU tensors (undefined if there are
  /// none). Throws DataError when the data behind a sample is wrong.
  virtual Batch collate(std::span<const int64_t> indices) const = 0;
  /// The same for training step `step`, with random changes where the dataset has some; they depend
  /// on step and numbers only.
  virtual Batch collate_for_step(std::span<const int64_t> indices, int64_t /*step*/) const {
    return collate(indices);
  }
};

}  // namespace trireme

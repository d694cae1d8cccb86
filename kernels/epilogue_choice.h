// Whether a product's epilogue is faster than passes of their own, by timing both once per shape.

#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>

#include "kernels/library_device.h"

namespace trireme::kernels {

/// What the choice depends on: which epilogue, dtype, extents and strides of the product.
using EpilogueKey = std::array<int64_t, 10>;

/// Belongs to one thread and one device.
class EpilogueChoice {
 public:
  /// tune: false (TRIREME_TUNE) takes the epilogue, the same in every run.
  EpilogueChoice(LibraryDevice& device, bool tune) : device_(device), tune_(tune) {}

  /// Runs `fused` or `passes`, which do the same. The first call of a key times both, unless a CUDA
  /// graph is being captured: then `passes` run, and nothing is kept.
  void run(const EpilogueKey& key, CUstream_st* stream, const std::function<void()>& fused,
           const std::function<void()>& passes);

 private:
  LibraryDevice& device_;
  bool tune_;
  std::map<EpilogueKey, bool> is_fused_;
};

}  // namespace trireme::kernels

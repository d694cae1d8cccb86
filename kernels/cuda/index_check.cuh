// Reporting a row number outside its table from inside a kernel (core/cuda/index_error.h).

#pragma once

#include "core/cuda/index_error.h"

namespace trireme::kernels {

/// Keeps the first report. Rare, so its cost does not matter; the slot lies in host memory.
__device__ inline void report_bad_index(const cuda::IndexCheck& check, int64_t value, int64_t bound,
                                        int64_t position) {
  // Atomic among the threads of this device, which is all that is needed: the host only frees the
  // slot after it was written.
  using Slot = cuda::IndexErrorSlot;
  if (atomicCAS(&check.slot->state, Slot::kFree, Slot::kClaimed) != Slot::kFree) return;
  check.slot->op = check.op;
  check.slot->value = value;
  check.slot->bound = bound;
  check.slot->position = position;
  __threadfence_system();
  *static_cast<volatile int32_t*>(&check.slot->state) = Slot::kWritten;
}

}  // namespace trireme::kernels

// How a kernel reports a row number outside its table without making the host wait.
//
// Each device has one slot in pinned host memory that kernels can write. The first bad index wins;
// the next synchronize() or Event::synchronize() of that device throws it under its op's name. The
// kernel itself goes on with a row that exists, so nothing outside the table is touched.

#pragma once

#include <cstdint>

namespace trireme::cuda {

struct IndexErrorSlot {
  static constexpr int32_t kFree = 0, kClaimed = 1, kWritten = 2;
  int32_t state;  // a kernel claims the slot, fills it in, then marks it written
  int32_t op;
  int64_t value;
  int64_t bound;
  int64_t position;
};

/// What a kernel needs to report; passed to it by value. Kernels call report_bad_index of
/// kernels/cuda/index_check.cuh.
struct IndexCheck {
  IndexErrorSlot* slot;  // device address
  int32_t op;
};

/// The slot of `device` for kernels of `op`, which must be a string literal. No call into the
/// driver after the first.
IndexCheck index_check(const char* op, int device);

/// Throws InvalidArgument `op: index 12 at position 3 must be in [0, 10)` if a kernel has reported
/// one, and clears the slot. Looks only, does not wait.
void throw_index_error(int device);

}  // namespace trireme::cuda

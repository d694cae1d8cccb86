// A row that stays in shared memory while its group passes over it twice, and the next row, which
// takes its place bit by bit during the second pass.
//
// Member m of a group works on the packs m, m + size, ... and on no others, so shared memory is a
// larger register file: nothing waits at a barrier for a pack. Copies run beside the work
// (cp.async) and pass by registers. They come in kParts parts, so that the first pass begins when
// the first part is there. On the host a copy is made where it is started.

#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/cuda/pack.h"

namespace trireme::kernels {

/// Starts to copy 16 bytes from global to shared memory. Both must be aligned to 16 bytes.
TRIREME_HD inline void start_copy(void* shared, const void* from) {
#ifdef __CUDA_ARCH__
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                   static_cast<uint32_t>(__cvta_generic_to_shared(shared))),
               "l"(__cvta_generic_to_global(from))
               : "memory");
#else
  std::memcpy(shared, from, 16);
#endif
}
/// What this thread has started since the last call becomes a part.
TRIREME_HD inline void end_part() {
#ifdef __CUDA_ARCH__
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
/// Waits until all but the last kLeft parts of this thread are there, for this thread to read.
template <int kLeft>
TRIREME_HD inline void wait_for_parts() {
#ifdef __CUDA_ARCH__
  asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
#endif
}

template <typename T>
class StagedRow {
 public:
  static constexpr int kWidth = kPack<T>;

  /// `held`: shared memory for a row. Requires packs in memory aligned, cols in whole packs, and
  /// fewer than 2^30 of them.
  template <typename Group>
  TRIREME_HD StagedRow(const Group& group, T* held, int64_t cols)
      : held_(held),
        cols_(static_cast<int>(cols)),
        first_(group.rank() * kWidth),
        step_(group.size() * kWidth) {
    const int steps = (cols_ + step_ - 1) / step_;
    part_ = (steps + kParts - 1) / kParts * step_;
  }

  TRIREME_HD T* held() const { return held_; }
  /// Whether column c is this member's.
  TRIREME_HD bool owns(int64_t c) const { return c / kWidth * kWidth % step_ == first_; }

  /// Starts to bring the first row.
  TRIREME_HD void start(const T* row) const {
    TRIREME_UNROLL_BY(1)
    for (int part = 0; part < kParts; ++part) {
      each(part, [&](int c) { start_copy(held_ + c, row + c); });
      end_part();
    }
  }
  /// Calls fn(c) for the packs of this member, at held() + c, as they come in.
  template <typename Fn>
  TRIREME_HD void read(const Fn& fn) const {
    static_assert(kParts == 4);
    wait_for_parts<3>();
    each(0, fn);
    wait_for_parts<2>();
    each(1, fn);
    wait_for_parts<1>();
    each(2, fn);
    wait_for_parts<0>();
    each(3, fn);
  }
  /// Calls fn(c) for the packs of this member for the last time: then row `next` is on its way to
  /// held(), if it `is_wanted`.
  template <typename Fn>
  TRIREME_HD void replace(const T* next, bool is_wanted, const Fn& fn) const {
    TRIREME_UNROLL_BY(1)
    for (int part = 0; part < kParts; ++part) {
      each(part, [&](int c) {
        fn(c);
        if (is_wanted) start_copy(held_ + c, next + c);
      });
      end_part();
    }
  }

 private:
  static constexpr int kParts = 4;

  template <typename Fn>
  TRIREME_HD void each(int part, const Fn& fn) const {
    const int end = (part + 1) * part_ < cols_ ? (part + 1) * part_ : cols_;
    TRIREME_UNROLL_BY(1)
    for (int c = part * part_ + first_; c < end; c += step_) fn(c);
  }

  T* held_;
  int cols_, first_, step_, part_;
};

}  // namespace trireme::kernels

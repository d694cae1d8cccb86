// Walks several strided operands of one shape in step: the loop behind every strided CPU kernel.
//
// A plan drops dimensions of extent 1, orders the rest so that operand 0 (the one written) moves
// least in the innermost loop, and merges dimensions that lie densely behind one another in all
// operands. So a contiguous tensor becomes one loop whatever its rank. Planning allocates nothing.

#pragma once

#include <algorithm>
#include <cstdint>

#include "core/base/parallel_for.h"
#include "core/base/shape.h"

namespace trireme::kernels {

/// Fewest elements worth a thread: below it, waking the pool costs more than the loop.
inline constexpr int64_t kPointwiseGrain = 1 << 15;

/// A planned loop over N operands; dimension rank - 1 is the innermost. rank >= 1.
template <int N>
struct StridedLoop {
  int rank = 0;
  int64_t count = 1;
  int64_t extent[kMaxRank];
  int64_t stride[N][kMaxRank];

  int64_t inner_extent() const { return extent[rank - 1]; }
  int64_t inner_stride(int operand) const { return stride[operand][rank - 1]; }
};

/// Plans the loop over `shape` with one stride list per operand (0 where an operand repeats).
template <int N>
StridedLoop<N> plan_loop(const Shape& shape, const Strides* const (&strides)[N]) {
  StridedLoop<N> loop;
  for (int d = 0; d < shape.rank(); ++d) {
    loop.count *= shape[d];
    if (shape[d] == 1) continue;
    int at = loop.rank++;
    // Insertion by stride of operand 0, then of the others: few dimensions, mostly sorted already.
    auto lies_inside = [&](int other) {
      for (int k = 0; k < N; ++k) {
        const int64_t mine = (*strides[k])[d];
        if (mine != loop.stride[k][other]) return mine > loop.stride[k][other];
      }
      return false;
    };
    for (; at > 0 && lies_inside(at - 1); --at) {
      loop.extent[at] = loop.extent[at - 1];
      for (int k = 0; k < N; ++k) loop.stride[k][at] = loop.stride[k][at - 1];
    }
    loop.extent[at] = shape[d];
    for (int k = 0; k < N; ++k) loop.stride[k][at] = (*strides[k])[d];
  }
  if (loop.rank == 0) {
    loop.rank = 1;
    loop.extent[0] = loop.count;
    for (int k = 0; k < N; ++k) loop.stride[k][0] = 1;
    return loop;
  }
  int last = 0;
  for (int d = 1; d < loop.rank; ++d) {
    bool dense = true;
    for (int k = 0; k < N; ++k) {
      dense = dense && loop.stride[k][last] == loop.stride[k][d] * loop.extent[d];
    }
    last += dense ? 0 : 1;
    loop.extent[last] = dense ? loop.extent[last] * loop.extent[d] : loop.extent[d];
    for (int k = 0; k < N; ++k) loop.stride[k][last] = loop.stride[k][d];
  }
  loop.rank = last + 1;
  return loop;
}

/// Calls run(offset, n) for the innermost runs of elements [begin, end): offset[k] is where operand
/// k starts, n how many elements follow at its inner stride. A range may start inside a run.
template <int N, typename Run>
void walk(const StridedLoop<N>& loop, int64_t begin, int64_t end, const Run& run) {
  if (begin >= end) return;
  int64_t index[kMaxRank];
  int64_t offset[N] = {};
  int64_t rest = begin;
  for (int d = loop.rank - 1; d >= 0; --d) {
    index[d] = rest % loop.extent[d];
    rest /= loop.extent[d];
    for (int k = 0; k < N; ++k) offset[k] += index[d] * loop.stride[k][d];
  }
  const int inner = loop.rank - 1;
  for (int64_t at = begin; at < end;) {
    const int64_t n = std::min(loop.extent[inner] - index[inner], end - at);
    run(offset, n);
    at += n;
    index[inner] += n;
    for (int k = 0; k < N; ++k) offset[k] += n * loop.stride[k][inner];
    for (int d = inner; d > 0 && index[d] == loop.extent[d]; --d) {
      index[d] = 0;
      ++index[d - 1];
      for (int k = 0; k < N; ++k) {
        offset[k] += loop.stride[k][d - 1] - loop.extent[d] * loop.stride[k][d];
      }
    }
  }
}

/// walk over the whole loop, divided among threads.
template <int N, typename Run>
void parallel_walk(const StridedLoop<N>& loop, const Run& run) {
  parallel_for(loop.count, kPointwiseGrain,
               [&](int64_t begin, int64_t end) { walk(loop, begin, end, run); });
}

}  // namespace trireme::kernels

// How many threads share a row, and how many blocks the rows get: plain arithmetic.

#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/grid.h"

namespace trireme::kernels {

/// Elements of one access in row kernels. f64 is for tests: it has the plain form only.
template <typename T>
inline constexpr int kRowPack = sizeof(T) == 8 ? 1 : kPack<T>;

/// Threads for a row of `packs` packs: about `per_thread` each, a power of two from a warp to
/// `most`.
inline int threads_per_row(int64_t packs, int per_thread, int most = kBlockThreads) {
  int threads = 32;
  while (threads < most && int64_t{threads} * per_thread < packs) threads *= 2;
  return threads;
}

/// Blocks for rows shared by `group` threads each: blocks of several warps, or of one group. More
/// blocks than are resident let the hardware balance them; a bound keeps the number in range for
/// any number of rows.
inline Geometry row_geometry(int64_t rows, int group, int multiprocessors) {
  constexpr int64_t kBlocksPerSm = 64;
  const int threads = group == 32 ? kBlockThreads : group;
  const int64_t groups = threads / group;
  const int64_t needed = (rows + groups - 1) / groups;
  return {.blocks = std::clamp<int64_t>(needed, 1, kBlocksPerSm * multiprocessors),
          .threads = threads};
}

}  // namespace trireme::kernels

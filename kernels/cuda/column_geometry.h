// Sums over the rows of a matrix in two stages: which rows and columns a block takes, and what a
// thread of it adds up. Plain arithmetic and bodies for host and device.
//
// A block is 32 lanes wide, a lane taking W neighbouring columns, and 8 threads high, the height
// taking rows in turn. It adds up a chunk of rows; the chunks' sums are added in a second kernel,
// in order. Chunks depend on the matrix and the device only, so results do not vary from run to
// run.

#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/grid.h"
#include "kernels/cuda/pack.h"

namespace trireme::kernels {

inline constexpr int kColumnLanes = 32;
inline constexpr int kColumnHeight = kBlockThreads / kColumnLanes;

struct ColumnGeometry {
  int64_t rows, cols;
  int64_t column_blocks;  // blocks beside each other
  int64_t chunks;         // blocks above each other
  int64_t chunk_rows;

  int64_t blocks() const { return column_blocks * chunks; }
  TRIREME_HD int64_t first_column(int64_t block, int lane, int width) const {
    return (block % column_blocks * kColumnLanes + lane) * width;
  }
  TRIREME_HD int64_t chunk_of(int64_t block) const { return block / column_blocks; }
  TRIREME_HD int64_t row_begin(int64_t chunk) const { return chunk * chunk_rows; }
  TRIREME_HD int64_t row_end(int64_t chunk) const {
    const int64_t end = (chunk + 1) * chunk_rows;
    return end < rows ? end : rows;
  }
};

/// Chunks so that the blocks fill the device four times over, but none has fewer than 16 rows per
/// thread: below that the second stage costs more than it gains.
inline ColumnGeometry column_geometry(int64_t rows, int64_t cols, int width, int multiprocessors) {
  ColumnGeometry g{rows, cols, 0, 0, 0};
  const int64_t block_columns = int64_t{kColumnLanes} * width;
  g.column_blocks = (cols + block_columns - 1) / block_columns;
  constexpr int64_t kLeastRows = int64_t{16} * kColumnHeight;
  const int64_t wanted = std::max<int64_t>(1, 4 * int64_t{multiprocessors} / g.column_blocks);
  const int64_t chunks = std::clamp<int64_t>(rows / kLeastRows, 1, wanted);
  g.chunk_rows = std::max<int64_t>(1, (rows + chunks - 1) / chunks);
  g.chunks = std::max<int64_t>(1, (rows + g.chunk_rows - 1) / g.chunk_rows);
  return g;
}

/// One thread's share: sums[s][k] over its rows of the chunk, for columns c to c + W - 1. `terms`
/// has kSums and `operator()<W>(r, c, A (&terms)[kSums][W])`.
template <int W, typename A, typename Terms>
TRIREME_HD void sum_chunk(const Terms& terms, int64_t row, int64_t end, int64_t c,
                          A (&sums)[Terms::kSums][W]) {
  constexpr int kSums = Terms::kSums;
  for (int s = 0; s < kSums; ++s) {
    for (int k = 0; k < W; ++k) sums[s][k] = 0;
  }
  // Four rows at a time, so that their loads are on the way together.
  constexpr int kRows = 4;
  for (; row + (kRows - 1) * kColumnHeight < end; row += kRows * kColumnHeight) {
    A values[kRows][kSums][W];
    TRIREME_UNROLL
    for (int j = 0; j < kRows; ++j) {
      terms.template operator()<W>(row + j * kColumnHeight, c, values[j]);
    }
    TRIREME_UNROLL
    for (int j = 0; j < kRows; ++j) {
      TRIREME_UNROLL
      for (int s = 0; s < kSums; ++s) {
        TRIREME_UNROLL
        for (int k = 0; k < W; ++k) sums[s][k] += values[j][s][k];
      }
    }
  }
  for (; row < end; row += kColumnHeight) {
    A values[kSums][W];
    terms.template operator()<W>(row, c, values);
    for (int s = 0; s < kSums; ++s) {
      for (int k = 0; k < W; ++k) sums[s][k] += values[s][k];
    }
  }
}

}  // namespace trireme::kernels

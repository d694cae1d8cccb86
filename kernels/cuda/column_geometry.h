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

/// Blocks that an SM holds at once: a grid is no more than these, so that it runs as one wave.
inline constexpr int kColumnBlocksPerSm = 4;

/// Chunks so that the blocks fill the device once, but none has fewer than 8 rows per thread: that
/// many may be on their way together, and below that the second stage costs more than it gains.
inline ColumnGeometry column_geometry(int64_t rows, int64_t cols, int width, int multiprocessors) {
  ColumnGeometry g{rows, cols, 0, 0, 0};
  const int64_t block_columns = int64_t{kColumnLanes} * width;
  g.column_blocks = (cols + block_columns - 1) / block_columns;
  constexpr int64_t kLeastRows = int64_t{8} * kColumnHeight;
  const int64_t wanted =
      std::max<int64_t>(1, int64_t{kColumnBlocksPerSm} * multiprocessors / g.column_blocks);
  const int64_t chunks = std::clamp<int64_t>(rows / kLeastRows, 1, wanted);
  g.chunk_rows = std::max<int64_t>(1, (rows + chunks - 1) / chunks);
  g.chunks = std::max<int64_t>(1, (rows + g.chunk_rows - 1) / g.chunk_rows);
  return g;
}

/// Terms that say what to load apart from what to make of it: `row_stride`, `Loaded<W>`,
/// `load<W>(at)`, `operator()(loaded, at, A (&terms)[kSums][W])` for the W elements from the at-th
/// element on, and kAhead, how many rows to load ahead. A store in the latter then holds up no
/// load.
template <typename Terms, int W>
concept LoadsAhead = requires {
  typename Terms::template Loaded<W>;
};

template <typename A, int kSums, int W>
TRIREME_HD inline void add_to(A (&sums)[kSums][W], const A (&values)[kSums][W]) {
  TRIREME_UNROLL
  for (int s = 0; s < kSums; ++s) {
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) sums[s][k] += values[s][k];
  }
}

/// sum_chunk below for terms that load ahead: kAhead rows are on their way at any time, up to the
/// last of the chunk.
template <int W, typename A, typename Terms>
requires LoadsAhead<Terms, W> TRIREME_HD void sum_chunk(const Terms& terms, int64_t row,
                                                        int64_t end, int64_t c,
                                                        A (&sums)[Terms::kSums][W]) {
  for (auto& of_term : sums) {
    for (A& sum : of_term) sum = 0;
  }
  constexpr int kAhead = Terms::kAhead;
  const int64_t step = kColumnHeight * terms.row_stride, far = kAhead * step;
  int64_t at = row * terms.row_stride + c;
  int left = static_cast<int>((end - row + kColumnHeight - 1) / kColumnHeight);
  typename Terms::template Loaded<W> ahead[kAhead] = {};
  TRIREME_UNROLL
  for (int j = 0; j < kAhead; ++j) {
    if (j < left) ahead[j] = terms.template load<W>(at + j * step);
  }
  TRIREME_UNROLL_BY(1)
  for (; left > 0; left -= kAhead) {
    TRIREME_UNROLL
    for (int j = 0; j < kAhead; ++j) {
      if (j >= left) break;
      const auto loaded = ahead[j];
      if (j + kAhead < left) ahead[j] = terms.template load<W>(at + far);
      A values[Terms::kSums][W];
      terms(loaded, at, values);
      add_to(sums, values);
      at += step;
    }
  }
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

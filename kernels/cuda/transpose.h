// When a strided copy is a transposition, and which tile of it a block takes: plain arithmetic.

#pragma once

#include <cstdint>

#include "core/base/host_device.h"
#include "kernels/strided_loop.h"

namespace trireme::kernels {

inline constexpr int kTile = 32;  // elements a side; a warp reads one row of it

/// A batch of matrices: dst is dense along columns, src along rows.
struct Transposition {
  int64_t rows = 0, cols = 0;            // of dst
  int64_t dst_row = 0, src_col = 0;      // strides; dst's columns and src's rows have stride 1
  int64_t row_tiles = 0, col_tiles = 0;  // tiles of one matrix
  int batch_rank = 0;                    // the other dimensions, outermost first
  int64_t batch_extent[kMaxRank];
  int64_t batch_dst[kMaxRank], batch_src[kMaxRank];
  int64_t tiles = 0;  // of all matrices
};

struct Tile {
  int64_t row, col;  // its first element in the matrix
  int64_t dst, src;  // offset of the matrix
};

/// True, and `plan` filled, where `loop` is a transposition large enough for tiles.
inline bool plan_transposition(const StridedLoop<2>& loop, Transposition& plan) {
  const int inner = loop.rank - 1;
  int other = -1;
  for (int d = 0; d < inner; ++d) {
    if (loop.stride[1][d] == 1) other = d;
  }
  if (other < 0 || loop.stride[0][inner] != 1 || loop.stride[1][inner] == 0) return false;
  if (loop.extent[inner] < kTile / 2 || loop.extent[other] < kTile / 2) return false;
  plan.rows = loop.extent[other];
  plan.cols = loop.extent[inner];
  plan.dst_row = loop.stride[0][other];
  plan.src_col = loop.stride[1][inner];
  plan.row_tiles = (plan.rows + kTile - 1) / kTile;
  plan.col_tiles = (plan.cols + kTile - 1) / kTile;
  plan.tiles = plan.row_tiles * plan.col_tiles * (loop.count / (plan.rows * plan.cols));
  for (int d = 0; d < inner; ++d) {
    if (d == other) continue;
    plan.batch_extent[plan.batch_rank] = loop.extent[d];
    plan.batch_dst[plan.batch_rank] = loop.stride[0][d];
    plan.batch_src[plan.batch_rank] = loop.stride[1][d];
    ++plan.batch_rank;
  }
  return true;
}

TRIREME_HD inline Tile tile_at(const Transposition& plan, int64_t number) {
  Tile tile{};
  tile.col = number % plan.col_tiles * kTile;
  number /= plan.col_tiles;
  tile.row = number % plan.row_tiles * kTile;
  number /= plan.row_tiles;
  for (int d = plan.batch_rank - 1; d >= 0; --d) {
    const int64_t index = number % plan.batch_extent[d];
    number /= plan.batch_extent[d];
    tile.dst += index * plan.batch_dst[d];
    tile.src += index * plan.batch_src[d];
  }
  return tile;
}

}  // namespace trireme::kernels

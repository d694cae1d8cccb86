// A transposing copy through shared memory.
//
// A block of 32 x 8 threads takes tiles of 32 x 32 elements: a warp reads a column of dst's tile,
// which is a dense run of src, and later writes a row of it, a dense run of dst. So both sides move
// whole sectors. Rows of the tile are one element longer than 32, so that reading a column of it
// touches 32 different banks.

#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/transpose.h"

namespace trireme::kernels {

inline constexpr int kTileWarps = 8;

template <typename T>
__global__ void __launch_bounds__(kTile* kTileWarps)
    transpose_kernel(Transposition plan, T* dst, const T* src) {
  __shared__ T tile[kTile][kTile + 1];
  const int lane = static_cast<int>(threadIdx.x) % kTile;
  const int warp = static_cast<int>(threadIdx.x) / kTile;
  for (int64_t number = blockIdx.x; number < plan.tiles; number += gridDim.x) {
    const Tile at = tile_at(plan, number);
    for (int c = warp; c < kTile; c += kTileWarps) {
      const int64_t row = at.row + lane, col = at.col + c;
      if (row < plan.rows && col < plan.cols) {
        tile[c][lane] = src[at.src + col * plan.src_col + row];
      }
    }
    __syncthreads();
    for (int r = warp; r < kTile; r += kTileWarps) {
      const int64_t row = at.row + r, col = at.col + lane;
      if (row < plan.rows && col < plan.cols) {
        dst[at.dst + row * plan.dst_row + col] = tile[lane][r];
      }
    }
    __syncthreads();  // the next tile overwrites this one
  }
}

/// Copies where `loop` is a transposition; false where it is not.
template <typename T>
bool copy_transposed(const char* op, Cuda device, const StridedLoop<2>& loop, T* dst,
                     const T* src) {
  Transposition plan;
  if (!plan_transposition(loop, plan)) return false;
  constexpr int64_t kBlocksPerSm = 8;  // 8 x 256 threads fill an SM
  const int64_t most = kBlocksPerSm * cuda::device_limits(device.index).multiprocessors;
  const Geometry geometry{.blocks = plan.tiles < most ? plan.tiles : most,
                          .threads = kTile * kTileWarps};
  launch(op, device, transpose_kernel<T>, geometry, plan, dst, src);
  return true;
}

}  // namespace trireme::kernels

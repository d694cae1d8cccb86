// The two kernels of a sum over rows (column_geometry.h).

#pragma once

#include "core/cuda/memory.h"
#include "kernels/cuda/column_geometry.h"
#include "kernels/cuda/launch.cuh"

namespace trireme::kernels {

/// Where kSums rows of sums go; null: that one is not wanted.
template <typename T, int kSums>
struct ColumnResults {
  T* data[kSums];
};

/// Sums of the block's chunk -> partials [chunk, kSums, cols].
template <int W, typename A, typename Terms>
__global__ void __launch_bounds__(kBlockThreads, LoadsAhead<Terms, W> ? kColumnBlocksPerSm : 1)
    column_chunks_kernel(const __grid_constant__ Terms terms,
                         const __grid_constant__ ColumnGeometry g, A* partials) {
  constexpr int kSums = Terms::kSums;
  __shared__ A shared[kColumnHeight][kSums][kColumnLanes * W];
  const int lane = static_cast<int>(threadIdx.x) % kColumnLanes;
  const int height = static_cast<int>(threadIdx.x) / kColumnLanes;
  const int64_t c = g.first_column(blockIdx.x, lane, W), chunk = g.chunk_of(blockIdx.x);
  if (c < g.cols) {
    A sums[kSums][W];
    sum_chunk<W>(terms, g.row_begin(chunk) + height, g.row_end(chunk), c, sums);
#pragma unroll
    for (int s = 0; s < kSums; ++s) {
#pragma unroll
      for (int k = 0; k < W; ++k) shared[height][s][lane * W + k] = sums[s][k];
    }
  }
  __syncthreads();
  const int64_t first = c - int64_t{lane} * W;
  for (int i = static_cast<int>(threadIdx.x); i < kSums * kColumnLanes * W; i += kBlockThreads) {
    const int s = i / (kColumnLanes * W), k = i % (kColumnLanes * W);
    if (first + k >= g.cols) continue;
    A total = shared[0][s][k];
#pragma unroll
    for (int h = 1; h < kColumnHeight; ++h) total += shared[h][s][k];
    partials[(chunk * kSums + s) * g.cols + first + k] = total;
  }
}

/// Threads that share a column of partials: hundreds of them in a few rounds of loads.
inline constexpr int kFinishHeight = 32;

/// partials [count, kSums, cols] -> results, added in an order of the partials that count alone
/// decides: 32 columns a block.
template <typename T, int kSums>
__global__ void __launch_bounds__(kColumnLanes* kFinishHeight)
    column_finish_kernel(const Acc<T>* partials, int64_t count, int64_t cols,
                         ColumnResults<T, kSums> results) {
  using A = Acc<T>;
  __shared__ A shared[kFinishHeight][kColumnLanes];
  const int lane = static_cast<int>(threadIdx.x) % kColumnLanes;
  const int height = static_cast<int>(threadIdx.x) / kColumnLanes;
  const int64_t width = kSums * cols, c = int64_t{blockIdx.x} * kColumnLanes + lane;
  A sum = 0;
  if (c < width) {
#pragma unroll 4
    for (int64_t p = height; p < count; p += kFinishHeight) sum += partials[p * width + c];
  }
  shared[height][lane] = sum;
  __syncthreads();
  if (height > 0 || c >= width) return;
#pragma unroll
  for (int h = 1; h < kFinishHeight; ++h) sum += shared[h][lane];
  T* to = results.data[c / cols];
  if (to) to[c % cols] = static_cast<T>(sum);
}

template <typename T, int kSums>
void finish_columns(const char* op, Cuda device, const Acc<T>* partials, int64_t count,
                    int64_t cols, const ColumnResults<T, kSums>& results) {
  const int64_t blocks = (kSums * cols + kColumnLanes - 1) / kColumnLanes;
  launch(op, device, column_finish_kernel<T, kSums>,
         {.blocks = blocks, .threads = kColumnLanes * kFinishHeight}, partials, count, cols,
         results);
}

/// results[s][c] = sum over rows of terms(r, c)[s]. Requires cols > 0, cols a multiple of W and
/// what `terms` reads aligned for packs of W.
template <int W, typename T, typename Terms>
void launch_column_sums(const char* op, Cuda device, int64_t rows, int64_t cols, const Terms& terms,
                        const ColumnResults<T, Terms::kSums>& results) {
  using A = Acc<T>;
  const int multiprocessors = cuda::device_limits(device.index).multiprocessors;
  const ColumnGeometry g = column_geometry(rows, cols, W, multiprocessors);
  const cuda::Workspace workspace(device,
                                  g.chunks * Terms::kSums * cols * static_cast<int64_t>(sizeof(A)));
  A* partials = workspace.as<A>();
  launch(op, device, column_chunks_kernel<W, A, Terms>, {.blocks = g.blocks()}, terms, g, partials);
  finish_columns(op, device, static_cast<const A*>(partials), g.chunks, cols, results);
}

}  // namespace trireme::kernels

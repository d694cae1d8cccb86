// Running sums along rows.
//
// A block takes a row, 256 elements a round: each warp sums its 32 by shuffles, the warps' totals
// meet in shared memory, and every thread adds what stands before it. x is read once and y written
// once, one element a thread and step. The order of additions depends on the length only.

#include "kernels/cumsum.h"

#include <algorithm>

#include "kernels/cuda/launch.cuh"

namespace trireme::kernels {
namespace {

constexpr int kWarps = kBlockThreads / 32;
/// Blocks for any number of rows: far more than are resident, far fewer than a grid may have.
constexpr int64_t kMostBlocks = 1 << 16;

template <typename T>
__global__ void __launch_bounds__(kBlockThreads)
    cumsum_kernel(MatrixView<const T> x, CumsumFrom from, SumOf<T>* y) {
  using Sum = RunningSum<T>;
  __shared__ Sum totals[kWarps];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  for (int64_t r = blockIdx.x; r < x.rows; r += gridDim.x) {
    Sum before = 0;  // of all earlier rounds
    for (int64_t at = 0; at < x.cols; at += kBlockThreads) {
      const int64_t i = at + threadIdx.x;
      const int64_t place = r * x.cols + (from == CumsumFrom::kFirst ? i : x.cols - 1 - i);
      Sum sum = i < x.cols ? static_cast<Sum>(static_cast<Acc<T>>(x.data[place])) : Sum{0};
      for (int step = 1; step < 32; step *= 2) {
        const Sum other = __shfl_up_sync(0xFFFFFFFFu, sum, step);
        if (lane >= step) sum += other;
      }
      if (lane == 31) totals[warp] = sum;
      __syncthreads();
      Sum earlier = 0, all = 0;
      for (int w = 0; w < kWarps; ++w) {
        earlier += w < warp ? totals[w] : Sum{0};
        all += totals[w];
      }
      if (i < x.cols) y[place] = static_cast<SumOf<T>>(before + earlier + sum);
      before += all;
      __syncthreads();
    }
  }
}

}  // namespace

template <typename T>
void cumsum(Cuda device, MatrixView<const T> x, CumsumFrom from, SumOf<T>* y) {
  if (x.rows == 0 || x.cols == 0) return;
  launch("cumsum", device, cumsum_kernel<T>,
         {.blocks = std::min(x.rows, kMostBlocks), .threads = kBlockThreads}, x, from, y);
}

#define TRIREME_INSTANTIATE(T) \
  template void cumsum(Cuda, MatrixView<const T>, CumsumFrom, SumOf<T>*);
TRIREME_INSTANTIATE(double)
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(BFloat16)
TRIREME_INSTANTIATE(Float16)
TRIREME_INSTANTIATE(int64_t)
TRIREME_INSTANTIATE(int32_t)
TRIREME_INSTANTIATE(uint8_t)
TRIREME_INSTANTIATE(bool)
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels

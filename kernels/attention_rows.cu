// One block of 128 threads per row of scores, neighbouring threads neighbouring keys. Forward reads
// each product three times (twice from cache) and writes p once; backward reads products, dp, dout
// and out once and writes p and ds once. Rows start anywhere, so elements move one at a time.

#include "kernels/attention_rows.h"
#include "kernels/cuda/launch.cuh"

namespace trireme::kernels {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;

/// The threads of a block.
struct BlockTeam {
  __device__ int64_t lane() const { return threadIdx.x; }
  __device__ int64_t lanes() const { return kThreads; }

  template <typename A, typename Join>
  __device__ A join(A x, const Join& both) const {
    __shared__ A of_warp[kWarps];
    for (int offset = 16; offset > 0; offset /= 2) {
      x = both(x, __shfl_xor_sync(0xFFFFFFFFu, x, offset));
    }
    __syncthreads();  // the results of the call before this one have been read
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = x;
    __syncthreads();
    x = of_warp[0];
    for (int warp = 1; warp < kWarps; ++warp) x = both(x, of_warp[warp]);
    return x;
  }
  template <typename A>
  __device__ A max(A x) const {
    return join(x, [](A a, A b) { return a > b ? a : b; });
  }
  template <typename A>
  __device__ A sum(A x) const {
    return join(x, [](A a, A b) { return a + b; });
  }
};

template <typename T>
__global__ void __launch_bounds__(kThreads)
    softmax_block_kernel(ScoreBlock<T> block, const Acc<T>* products, T* p,
                         BlockStatistics<Acc<T>> logsumexp) {
  for (int64_t r = blockIdx.x; r < block.heads * block.rows; r += gridDim.x) {
    const int64_t head = r / block.rows, row = r % block.rows, at = r * block.keys;
    const Acc<T> sum = softmax_scores(BlockTeam{}, block, head, row, products + at, p + at);
    if (threadIdx.x == 0) logsumexp.data[head * logsumexp.head_stride + row] = sum;
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    softmax_block_backward_kernel(ScoreBlock<T> block, const Acc<T>* products, const Acc<T>* dp,
                                  BlockStatistics<const Acc<T>> logsumexp, BlockRows<T> dout,
                                  BlockRows<T> out, int64_t head_dim, T* p, T* ds) {
  for (int64_t r = blockIdx.x; r < block.heads * block.rows; r += gridDim.x) {
    const int64_t head = r / block.rows, row = r % block.rows, at = r * block.keys;
    softmax_scores_backward(BlockTeam{}, block, head, row, products + at, dp + at,
                            logsumexp.data[head * logsumexp.head_stride + row],
                            dout.data + head * dout.head_stride + row * dout.row_stride,
                            out.data + head * out.head_stride + row * out.row_stride, head_dim,
                            p + at, ds + at);
  }
}

Geometry geometry_for(Cuda device, int64_t rows) {
  constexpr int64_t kBlocksPerSm = 16;  // 2048 threads of an SM in blocks of 128
  const int64_t most = kBlocksPerSm * cuda::device_limits(device.index).multiprocessors;
  return {.blocks = rows < most ? rows : most, .threads = kThreads};
}

}  // namespace

template <typename T>
void softmax_block(Cuda device, const ScoreBlock<T>& block, const Acc<T>* products, T* p,
                   BlockStatistics<Acc<T>> logsumexp) {
  launch("attention", device, softmax_block_kernel<T>,
         geometry_for(device, block.heads * block.rows), block, products, p, logsumexp);
}

template <typename T>
void softmax_block_backward(Cuda device, const ScoreBlock<T>& block, const Acc<T>* products,
                            const Acc<T>* dp, BlockStatistics<const Acc<T>> logsumexp,
                            BlockRows<T> dout, BlockRows<T> out, int64_t head_dim, T* p, T* ds) {
  launch("attention", device, softmax_block_backward_kernel<T>,
         geometry_for(device, block.heads * block.rows), block, products, dp, logsumexp, dout, out,
         head_dim, p, ds);
}

#define TRIREME_INSTANTIATE(T)                                                                    \
  template void softmax_block(Cuda, const ScoreBlock<T>&, const Acc<T>*, T*,                      \
                              BlockStatistics<Acc<T>>);                                           \
  template void softmax_block_backward(Cuda, const ScoreBlock<T>&, const Acc<T>*, const Acc<T>*,  \
                                       BlockStatistics<const Acc<T>>, BlockRows<T>, BlockRows<T>, \
                                       int64_t, T*, T*)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels

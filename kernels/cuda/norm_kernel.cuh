// The kernels of layer and root-mean-square norm, with and without the residual addition.

#pragma once

#include "core/cuda/memory.h"
#include "kernels/cuda/column_sums.cuh"
#include "kernels/cuda/launch_rows.cuh"
#include "kernels/cuda/norm_body.h"

namespace trireme::kernels {

/// Columns a thread keeps in registers: raw, so 16-bit rows take half the registers of f32 ones.
inline constexpr int kHeldColumns = 32;
/// Forward holds rows up to a block's share, backward (which also keeps sums) half as many.
inline constexpr int64_t kMostHeldForward = int64_t{kBlockThreads} * kHeldColumns;
inline constexpr int kBackwardThreads = 128;
inline constexpr int64_t kMostHeldBackward = int64_t{kBackwardThreads} * kHeldColumns;

template <typename Store, int W, typename T>
struct NormForwardBody {
  NormForward<T> n;
  template <typename Group>
  TRIREME_HD void operator()(const Group& group, int64_t r) const {
    layer_norm_row<Store, W>(group, n, r);
  }
};

template <typename T>
void launch_norm(const char* op, Cuda device, const NormForward<T>& n, bool is_packed) {
  if (n.rows == 0) return;
  if constexpr (kRowPack < T >> 1) {
    constexpr int kW = kRowPack<T>, kPacks = kHeldColumns / kW;
    if (is_packed && n.cols <= kMostHeldForward) {
      const int group = threads_per_row(n.cols / kW, kPacks);
      return launch_rows(op, device, n.rows, group, NormForwardBody<Held<kPacks>, kW, T>{n});
    }
  }
  launch_rows(op, device, n.rows, threads_per_row(n.cols, 8), NormForwardBody<Streamed, 1, T>{n});
}

template <typename T>
struct NormBackwardBody {
  NormBackward<T> n;
  template <typename Group>
  TRIREME_HD void operator()(const Group& group, int64_t r) const {
    NoSums none;
    layer_norm_backward_row<Streamed, 1>(group, n, r, none);
  }
};

/// Terms of the sums over rows: dy xhat for gamma, dy for beta.
template <typename T>
struct NormTerms {
  static constexpr int kSums = 2;
  NormBackward<T> n;
  template <int W>
  TRIREME_HD void operator()(int64_t r, int64_t c, Acc<T> (&terms)[2][W]) const {
    load_values<W>(n.x + r * n.x_stride + c, terms[0]);
    load_values<W>(n.dy + r * n.dy_stride + c, terms[1]);
    for (int k = 0; k < W; ++k) {
      terms[0][k] = (terms[0][k] - n.center(r)) * n.rstd[r] * terms[1][k];
    }
  }
};

/// dx of all rows and, in registers all the way, each group's sums for gamma and beta; the groups
/// of a block meet in shared memory in the order of their numbers, so `partials` [blocks, 2, cols]
/// does not vary from run to run.
template <int W, typename T>
__global__ void __launch_bounds__(kBackwardThreads, sizeof(T) == 2 ? 3 : 2)
    norm_backward_kernel(const __grid_constant__ NormBackward<T> n, int group_size,
                         Acc<T>* partials) {
  using A = Acc<T>;
  constexpr int kPacks = kHeldColumns / W;
  __shared__ GroupSlots slots;
  __shared__ A shared[2 * 32 * kHeldColumns];  // a warp's columns, where several warps add
  const DeviceGroup group(group_size, slots);
  const int groups = kBackwardThreads / group_size;
  NormSums<A, kHeldColumns> sums;
  for (int64_t r = int64_t{blockIdx.x} * groups + group.index(); r < n.rows;
       r += int64_t{gridDim.x} * groups) {
    layer_norm_backward_row<Held<kPacks>, W>(group, n, r, sums);
  }
  if (!partials) return;
  A* to = partials + int64_t{blockIdx.x} * 2 * n.cols;
  for (int g = 0; g < groups; ++g) {
    if (groups > 1) __syncthreads();
    if (group.index() != g) continue;
    Held<kPacks>::template each<W>(group, n.cols, [&](int i, int64_t c) {
#pragma unroll
      for (int k = 0; k < W; ++k) {
        A dgamma = sums.gamma[i * W + k], dbeta = sums.beta[i * W + k];
        if (groups > 1) {
          A* mine = shared + 2 * (c + k);
          if (g > 0) {
            dgamma += mine[0];
            dbeta += mine[1];
          }
          mine[0] = dgamma;
          mine[1] = dbeta;
        }
        if (g == groups - 1) {
          to[c + k] = dgamma;
          to[n.cols + c + k] = dbeta;
        }
      }
    });
  }
}

template <typename T>
void launch_norm_backward(const char* op, Cuda device, const NormBackward<T>& n, T* dgamma,
                          T* dbeta, bool is_packed) {
  using A = Acc<T>;
  const bool wants_sums = dgamma || dbeta;
  if (n.cols == 0) return;
  const ColumnResults<T, 2> results{{dgamma, dbeta}};
  if constexpr (kRowPack < T >> 1) {
    constexpr int kW = kRowPack<T>;
    if (is_packed && n.cols <= kMostHeldBackward && n.rows > 0) {
      const int group = n.cols <= 32 * kHeldColumns ? 32 : kBackwardThreads;
      const int64_t groups = kBackwardThreads / group;
      // As many blocks as the registers let run at once: each adds up over its share of the rows.
      const int64_t most =
          (sizeof(T) == 2 ? 3 : 2) * cuda::device_limits(device.index).multiprocessors;
      const int64_t blocks = std::min<int64_t>((n.rows + groups - 1) / groups, most);
      const cuda::Workspace workspace(
          device, wants_sums ? blocks * 2 * n.cols * static_cast<int64_t>(sizeof(A)) : 0);
      A* partials = wants_sums ? workspace.template as<A>() : nullptr;
      launch(op, device, norm_backward_kernel<kW, T>,
             {.blocks = blocks, .threads = kBackwardThreads}, n, group, partials);
      if (wants_sums) finish_columns(op, device, partials, blocks, n.cols, results);
      return;
    }
  }
  if (n.dx) {
    launch_rows(op, device, n.rows, threads_per_row(n.cols, 8), NormBackwardBody<T>{n});
  }
  if (wants_sums) {
    launch_column_sums<1>(op, device, n.rows, n.cols, NormTerms<T>{n}, results);
  }
}

}  // namespace trireme::kernels

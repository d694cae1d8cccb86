// The kernels of layer and root-mean-square norm, with and without the residual addition.

#pragma once

#include "core/cuda/memory.h"
#include "kernels/cuda/column_sums.cuh"
#include "kernels/cuda/launch_rows.cuh"
#include "kernels/cuda/norm_body.h"

namespace trireme::kernels {

/// Columns a thread keeps in registers, raw: 16-bit rows take half the registers of f32 ones. 24
/// serve rows of up to 768 columns, 32 those of up to 1024, and longer ones that a block takes.
inline constexpr int kFewColumns = 24, kManyColumns = 32;
inline constexpr int64_t kMostHeldForward = int64_t{kBlockThreads} * kManyColumns;
inline constexpr int kNormThreads = 128;
inline constexpr int64_t kMostHeldBackward = int64_t{kNormThreads} * kManyColumns;

/// Blocks of kNormThreads that a multiprocessor's 65536 registers hold at once, by the registers of
/// a thread's share of a row: 16-bit types have two columns in one.
template <int kColumns, typename T, typename Low>
constexpr int forward_blocks() {
  constexpr int kRow = kColumns * (sizeof(T) + sizeof(Low)) / 4;
  return kRow <= 24 ? 6 : kRow <= 32 ? 5 : kRow <= 48 ? 4 : 3;
}

struct NormBackwardSetting {
  bool ahead;  // registers suffice for a second row
  int blocks;
};
template <int kColumns, typename T, typename Low>
constexpr NormBackwardSetting backward_setting() {
  constexpr int kRow = kColumns * (2 * sizeof(T) + sizeof(Low)) / 4, kSums = 2 * kColumns;
  constexpr bool kAhead = 2 * kRow + kSums <= 200;
  return {.ahead = kAhead, .blocks = (kAhead ? 2 : 1) * kRow + kSums <= 128 ? 3 : 2};
}

template <typename Store, int W, typename T, typename Low>
struct NormForwardBody {
  NormForward<T, Low> n;
  template <typename Group>
  TRIREME_HD void operator()(const Group& group, int64_t r) const {
    NormForwardRow<Store, W, T, Low> row;
    row.load(group, n, r);
    layer_norm_row(group, n, r, row);
  }
};

/// A warp a row.
template <int W, int kColumns, typename T, typename Low>
__global__ void __launch_bounds__(kNormThreads, forward_blocks<kColumns, T, Low>())
    norm_forward_kernel(const __grid_constant__ NormForward<T, Low> n) {
  using Row = NormForwardRow<Held<kColumns / W>, W, T, Low>;
  __shared__ GroupSlots slots;
  const DeviceGroup group(32, slots);
  constexpr int kGroups = kNormThreads / 32;
  each_norm_row<true, Row>(group, n, int64_t{blockIdx.x} * kGroups + group.index(),
                           int64_t{gridDim.x} * kGroups,
                           [&](int64_t r, Row& row) { layer_norm_row(group, n, r, row); });
}

/// Blocks of `groups` groups, no more than run at once: each takes its share of the rows.
inline int64_t norm_blocks(Cuda device, int64_t rows, int64_t groups, int per_multiprocessor) {
  const int64_t most = per_multiprocessor * cuda::device_limits(device.index).multiprocessors;
  return std::min((rows + groups - 1) / groups, most);
}

template <int kColumns, int W, typename T, typename Low>
void launch_norm_of_warps(const char* op, Cuda device, const NormForward<T, Low>& n) {
  const int64_t blocks =
      norm_blocks(device, n.x.rows, kNormThreads / 32, forward_blocks<kColumns, T, Low>());
  launch(op, device, norm_forward_kernel<W, kColumns, T, Low>,
         {.blocks = blocks, .threads = kNormThreads}, n);
}

template <typename T, typename Low>
void launch_norm(const char* op, Cuda device, const NormForward<T, Low>& n) {
  const int64_t cols = n.x.cols;
  if (n.x.rows == 0) return;
  if constexpr (kRowPack < T >> 1) {
    constexpr int kW = kRowPack<T>;
    const bool is_packed = rows_are_packed<kW>(n.x) && rows_are_packed<kW>(n.y) &&
                           rows_are_packed<kW>(n.branch) && rows_are_packed<kW>(n.sum) &&
                           are_packed<kW>(n.gamma, n.beta);
    if (is_packed && cols <= 32 * kFewColumns) {
      return launch_norm_of_warps<kFewColumns, kW>(op, device, n);
    }
    if (is_packed && cols <= 32 * kManyColumns) {
      return launch_norm_of_warps<kManyColumns, kW>(op, device, n);
    }
    if (is_packed && cols <= kMostHeldForward) {
      constexpr int kPacks = kManyColumns / kW;
      return launch_rows(op, device, n.x.rows, threads_per_row(cols / kW, kPacks),
                         NormForwardBody<Held<kPacks>, kW, T, Low>{n});
    }
  }
  launch_rows(op, device, n.x.rows, threads_per_row(cols, 8),
              NormForwardBody<Streamed, 1, T, Low>{n});
}

template <typename T, typename Low>
struct NormBackwardBody {
  NormBackward<T, Low> n;
  template <typename Group>
  TRIREME_HD void operator()(const Group& group, int64_t r) const {
    NormBackwardRow<Streamed, 1, T, Low> row;
    row.load(group, n, r);
    NoSums none;
    layer_norm_backward_row(group, n, r, row, none);
  }
};

/// Terms of the sums over rows: dy xhat for gamma, dy for beta.
template <typename T, typename Low>
struct NormTerms {
  static constexpr int kSums = 2;
  NormBackward<T, Low> n;
  template <int W>
  TRIREME_HD void operator()(int64_t r, int64_t c, Acc<T> (&terms)[2][W]) const {
    load_values<W>(row_of(n.x, r) + c, terms[0]);
    load_values<W>(row_of(n.dy, r) + c, terms[1]);
    for (int k = 0; k < W; ++k) {
      terms[0][k] = (terms[0][k] - n.center(r)) * n.rstd[r] * terms[1][k];
    }
  }
};

/// dx of all rows and, in registers all the way, each group's sums for gamma and beta; the groups
/// of a block meet in shared memory in the order of their numbers, so `partials` [blocks, 2, cols]
/// does not vary from run to run. A group is a warp or the block.
template <int kGroup, int W, int kColumns, typename T, typename Low>
__global__ void __launch_bounds__(kNormThreads, backward_setting<kColumns, T, Low>().blocks)
    norm_backward_kernel(const __grid_constant__ NormBackward<T, Low> n, Acc<T>* partials) {
  using A = Acc<T>;
  using Store = Held<kColumns / W>;
  using Row = NormBackwardRow<Store, W, T, Low>;
  constexpr int kGroups = kNormThreads / kGroup;
  __shared__ GroupSlots slots;
  const DeviceGroup group(kGroup, slots);
  NormSums<A, kColumns> sums;
  each_norm_row<backward_setting<kColumns, T, Low>().ahead, Row>(
      group, n, int64_t{blockIdx.x} * kGroups + group.index(), int64_t{gridDim.x} * kGroups,
      [&](int64_t r, Row& row) { layer_norm_backward_row(group, n, r, row, sums); });
  if (!partials) return;
  const int64_t cols = n.x.cols;
  A* to = partials + int64_t{blockIdx.x} * 2 * cols;
  __shared__ A shared[kGroups > 1 ? 2 * kGroup * kColumns : 1];
  for (int g = 0; g < kGroups; ++g) {
    if (kGroups > 1) __syncthreads();
    if (group.index() != g) continue;
    Store::template each<W>(group, cols, [&](int i, int64_t c) {
#pragma unroll
      for (int k = 0; k < W; ++k) {
        A dgamma = sums.gamma[i * W + k], dbeta = sums.beta[i * W + k];
        if constexpr (kGroups > 1) {
          A* mine = shared + 2 * (c + k);
          if (g > 0) {
            dgamma += mine[0];
            dbeta += mine[1];
          }
          mine[0] = dgamma;
          mine[1] = dbeta;
        }
        if (g == kGroups - 1) {
          to[c + k] = dgamma;
          to[cols + c + k] = dbeta;
        }
      }
    });
  }
}

template <int kGroup, int kColumns, int W, typename T, typename Low>
void launch_norm_backward_held(const char* op, Cuda device, const NormBackward<T, Low>& n,
                               const ColumnResults<T, 2>& results) {
  using A = Acc<T>;
  const bool wants_sums = results.data[0] || results.data[1];
  const int64_t cols = n.x.cols;
  const int64_t blocks = norm_blocks(device, n.x.rows, kNormThreads / kGroup,
                                     backward_setting<kColumns, T, Low>().blocks);
  const cuda::Workspace workspace(
      device, wants_sums ? blocks * 2 * cols * static_cast<int64_t>(sizeof(A)) : 0);
  A* partials = wants_sums ? workspace.template as<A>() : nullptr;
  launch(op, device, norm_backward_kernel<kGroup, W, kColumns, T, Low>,
         {.blocks = blocks, .threads = kNormThreads}, n, partials);
  if (wants_sums) finish_columns(op, device, partials, blocks, cols, results);
}

template <typename T, typename Low>
void launch_norm_backward(const char* op, Cuda device, const NormBackward<T, Low>& n, T* dgamma,
                          T* dbeta) {
  const int64_t rows = n.x.rows, cols = n.x.cols;
  if (cols == 0) return;
  const ColumnResults<T, 2> results{{dgamma, dbeta}};
  if constexpr (kRowPack < T >> 1) {
    constexpr int kW = kRowPack<T>;
    const bool is_packed = rows_are_packed<kW>(n.x) && rows_are_packed<kW>(n.dy) &&
                           rows_are_packed<kW>(n.dsum) && rows_are_packed<kW>(n.dx) &&
                           rows_are_packed<kW>(n.dx_low) && are_packed<kW>(n.gamma);
    if (is_packed && rows > 0 && cols <= 32 * kFewColumns) {
      return launch_norm_backward_held<32, kFewColumns, kW>(op, device, n, results);
    }
    if (is_packed && rows > 0 && cols <= 32 * kManyColumns) {
      return launch_norm_backward_held<32, kManyColumns, kW>(op, device, n, results);
    }
    if (is_packed && rows > 0 && cols <= kMostHeldBackward) {
      return launch_norm_backward_held<kNormThreads, kManyColumns, kW>(op, device, n, results);
    }
  }
  if (n.dx.data) {
    launch_rows(op, device, rows, threads_per_row(cols, 8), NormBackwardBody<T, Low>{n});
  }
  if (dgamma || dbeta) {
    launch_column_sums<1>(op, device, rows, cols, NormTerms<T, Low>{n}, results);
  }
}

}  // namespace trireme::kernels

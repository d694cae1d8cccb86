// What the cross entropy kernels share: the mean over rows, and the choice of the access width.

#pragma once

#include "kernels/cuda/cross_entropy_body.h"
#include "kernels/cuda/launch_rows.cuh"
#include "kernels/view.h"

namespace trireme::kernels {

/// The whole device waits for this one block: as many threads as it may have.
inline constexpr int kMeanThreads = 1024;

/// One block: result[1] = 1 / the number of rows that count and, unless `loss` is null,
/// result[0] = the sum of their losses times that.
template <typename A, typename Id>
__global__ void __launch_bounds__(kMeanThreads)
    mean_loss_kernel(const A* loss, const Id* targets, int64_t rows, int64_t ignore_index,
                     A* result) {
  __shared__ GroupSlots slots;
  const DeviceGroup group(kMeanThreads, slots);
  const Two<double> total = mean_loss_parts(group, loss, targets, rows, ignore_index);
  if (group.rank() != 0) return;
  if (loss) result[0] = static_cast<A>(total.first / total.second);
  result[1] = static_cast<A>(1 / total.second);
}

template <typename A, typename Id>
void launch_mean_loss(const char* op, Cuda device, const A* loss, const Id* targets, int64_t rows,
                      int64_t ignore_index, A* result) {
  launch(op, device, mean_loss_kernel<A, Id>, {.blocks = 1, .threads = kMeanThreads}, loss, targets,
         rows, ignore_index, result);
}

/// Calls fn(Width<W>{}, threads per row) with the widest access that rows of a and b allow alike
/// and up to kMostThreads.
template <typename T, int kMostThreads = kBlockThreads, typename Fn>
void with_logits_width(const MatrixView<const T>& a, const MatrixView<const T>& b, const Fn& fn) {
  constexpr int kW = kRowPack<T>, kPacksPerThread = 4;
  if (a.rows == 0 || a.cols == 0) return;
  if constexpr (kW > 1) {
    if (rows_are_congruent<kW>(a, b)) {
      return fn(Width<kW>{}, threads_per_row(a.cols / kW, kPacksPerThread, kMostThreads));
    }
  }
  fn(Width<1>{}, threads_per_row(a.cols, kPacksPerThread, kMostThreads));
}

}  // namespace trireme::kernels

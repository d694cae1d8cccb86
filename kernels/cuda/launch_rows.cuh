// Kernels that work row by row: body(group, r) for every row.

#pragma once

#include "kernels/cuda/group.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/row_geometry.h"

namespace trireme::kernels {

template <int kMostThreads, typename Body>
__global__ void __launch_bounds__(kMostThreads)
    rows_kernel(const __grid_constant__ Body body, int64_t rows, int group_size) {
  __shared__ GroupSlots slots;
  const DeviceGroup group(group_size, slots);
  const int64_t groups = blockDim.x / group_size;
  for (int64_t r = blockIdx.x * groups + group.index(); r < rows; r += gridDim.x * groups) {
    body(group, r);
  }
}

/// Runs `body` over `rows` rows, each shared by `group` threads (threads_per_row). `body` has
/// `template <typename Group> TRIREME_HD void operator()(const Group&, int64_t r) const`.
/// kMostThreads bounds `group`.
template <int kMostThreads = kBlockThreads, typename Body>
void launch_rows(const char* op, Cuda device, int64_t rows, int group, const Body& body) {
  if (rows == 0) return;
  TRIREME_ASSERT(group <= kMostThreads);
  const int multiprocessors = cuda::device_limits(device.index).multiprocessors;
  launch(op, device, rows_kernel<kMostThreads, Body>, row_geometry(rows, group, multiprocessors),
         body, rows, group);
}

}  // namespace trireme::kernels

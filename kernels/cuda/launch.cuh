// Kernels over so many elements: geometry, and the loop of each thread.

#pragma once

#include <cuda_runtime.h>

#include <array>

#include "core/base/device_tag.h"
#include "core/cuda/api.h"
#include "core/cuda/device.h"
#include "kernels/cuda/grid.h"
#include "kernels/cuda/launch_kernel.cuh"

namespace trireme::kernels {

/// Blocks of `kernel` that the device runs at once, each with so much dynamic shared memory.
inline int64_t resident_blocks(const char* op, Cuda device, const void* kernel, int threads,
                               int64_t shared_bytes = 0) {
  int per_sm = 0;
  cuda::check(op, cuda::api().occupancy_max_active_blocks(&per_sm, kernel, threads,
                                                          static_cast<size_t>(shared_bytes)));
  return int64_t{per_sm} * cuda::device_limits(device.index).multiprocessors;
}

/// Lets blocks of `kernel` have up to `bytes` of dynamic shared memory, where others have 48 KiB,
/// and gives it as much of the memory that it shares with the first cache as there is.
inline void allow_shared_bytes(const char* op, const void* kernel, int64_t bytes) {
  const auto set = cuda::api().func_set_attribute;
  cuda::check(op,
              set(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
  cuda::check(op, set(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                      cudaSharedmemCarveoutMaxShared));
}

template <int N, typename Body>
__global__ void __launch_bounds__(kBlockThreads) elements_kernel(int64_t count, Body body) {
  const int64_t thread = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  run_thread<N>(thread, int64_t{gridDim.x} * blockDim.x, count, body);
}

/// Runs `body` over `count` elements, in packs of N (grid.h). `body` is a functor with
/// `template <int N> TRIREME_HD void run(int64_t i) const` for elements [i, i + N).
template <int N, typename Body>
void launch_packs(const char* op, Cuda device, int64_t count, const Body& body) {
  if (count == 0) return;
  static thread_local std::array<int64_t, cuda::kMaxDevices> resident{};
  auto* const kernel = elements_kernel<N, Body>;
  int64_t& most = resident[static_cast<size_t>(device.index)];
  if (most == 0) {
    most = resident_blocks(op, device, reinterpret_cast<const void*>(kernel), kBlockThreads);
  }
  launch(op, device, kernel, grid_for(work_items_for(count, N), kBlockThreads, most), count, body);
}

template <typename Fn>
struct ElementBody {
  Fn fn;
  template <int N>
  TRIREME_HD void run(int64_t i) const {
    for (int k = 0; k < N; ++k) fn(i + k);
  }
};

/// Runs fn(i) for every i in [0, count), one element per thread and step; fn is a `[=] __device__`
/// or TRIREME_HD function.
template <typename Fn>
void launch_elements(const char* op, Cuda device, int64_t count, const Fn& fn) {
  launch_packs<1>(op, device, count, ElementBody<Fn>{fn});
}

}  // namespace trireme::kernels

// Stands in front of kernels/cuda/launch_kernel.cuh: the same launch, run by the emulator before it
// returns. The table of core/cuda/api.h sees it too.

#pragma once

#include <cuda_runtime.h>

#include <tuple>
#include <utility>

#include "core/base/device_tag.h"
#include "core/cuda/api.h"
#include "core/cuda/check.h"
#include "kernels/cuda/grid.h"

namespace trireme::kernels {

inline void* dynamic_shared() { return emulator::dynamic_shared(); }

template <typename... Params, typename... Args>
void launch(const char* op, Cuda device, void (*kernel)(Params...), const Geometry& geometry,
            Args&&... args) {
  static_assert(sizeof...(Params) == sizeof...(Args));
  const std::tuple<Params...> values(std::forward<Args>(args)...);
  const dim3 blocks(static_cast<unsigned>(geometry.blocks));
  const dim3 threads(static_cast<unsigned>(geometry.threads));
  cuda::check(
      op, cuda::api().launch_kernel(reinterpret_cast<const void*>(kernel), blocks, threads, nullptr,
                                    static_cast<size_t>(geometry.shared_bytes), device.stream));
  emulator::queue_grid(device.stream, [=, shared_bytes = geometry.shared_bytes] {
    emulator::run_grid(op, blocks, threads, shared_bytes, [&] { std::apply(kernel, values); });
  });
  cuda::check_launch(op, device);
}

}  // namespace trireme::kernels

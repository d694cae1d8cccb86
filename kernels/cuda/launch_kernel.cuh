// Launching a kernel: every launch of ours goes through here, and so through the table of
// core/cuda/api.h.

#pragma once

#include <cuda_runtime.h>

#include <array>
#include <tuple>
#include <utility>

#include "core/base/device_tag.h"
#include "core/cuda/api.h"
#include "core/cuda/check.h"
#include "kernels/cuda/grid.h"

namespace trireme::kernels {

/// The block's dynamic shared memory: Geometry::shared_bytes of it, aligned to 16 bytes.
__device__ inline void* dynamic_shared() {
  extern __shared__ uint4 dynamic_shared_memory[];
  return dynamic_shared_memory;
}

/// kernel<<<geometry, device.stream>>>(args...), checked under the name of `op`. Arguments convert
/// to the kernel's parameters as in a call.
template <typename... Params, typename... Args>
void launch(const char* op, Cuda device, void (*kernel)(Params...), const Geometry& geometry,
            Args&&... args) {
  static_assert(sizeof...(Params) == sizeof...(Args));
  std::tuple<Params...> values(std::forward<Args>(args)...);
  std::array<void*, sizeof...(Params)> pointers = std::apply(
      [](auto&... value) { return std::array<void*, sizeof...(Params)>{&value...}; }, values);
  const cudaError_t status = cuda::api().launch_kernel(
      reinterpret_cast<const void*>(kernel), dim3(static_cast<unsigned>(geometry.blocks)),
      dim3(static_cast<unsigned>(geometry.threads)), pointers.data(),
      static_cast<size_t>(geometry.shared_bytes), device.stream);
  cuda::check(op, status);
  cuda::check_launch(op, device);
}

}  // namespace trireme::kernels

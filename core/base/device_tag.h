// Device tags: a kernel is chosen by overload on the tag, so a missing kernel is a compile or link
// error, not a surprise at run time.
//
//   on_device(x.device(), [&](auto device) { kernels::softmax(device, ...); });

#pragma once

#include "core/base/config.h"
#include "core/base/device.h"
#include "core/base/error.h"

struct CUstream_st;

namespace trireme {

/// The CPU: kernels run on the calling thread and the OpenMP pool and are done when they return.
struct Cpu {};

/// A CUDA device and a stream of it: kernels are queued there, in order, and run behind the host.
/// The device is the calling thread's CUDA device.
struct Cuda {
  CUstream_st* stream;
  int index;
};

/// The current stream of the calling thread on CUDA device `index` (core/cuda/stream.h). Throws
/// CudaError where there is no driver or no such device.
Cuda current_cuda(int index);

/// Calls fn with the tag of `device`. Throws CudaError where this build or this machine has no such
/// device.
template <typename Fn>
decltype(auto) on_device(Device device, Fn&& fn) {
  if (!device.is_cpu()) [[unlikely]] {
    const Cuda cuda = current_cuda(device.index);  // throws where there is none
    if constexpr (kHasCuda) return fn(cuda);
  }
  return fn(Cpu{});
}

}  // namespace trireme

// Turning CUDA status codes into errors that say what to do.
//
// Host code that includes CUDA headers exists in builds with CUDA only (kHasCuda); everything else
// includes core/base/device_tag.h.

#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "core/base/device_tag.h"

namespace trireme::cuda {

/// `op: what happened (cudaErrorName); what to do`. No driver, an old driver, no device, a wrong
/// device and a faulting kernel each have a text of their own.
std::string describe(const char* op, cudaError_t status);

/// Throws CudaError with describe(op, status), OutOfMemory where memory was short, unless status is
/// cudaSuccess.
void check(const char* op, cudaError_t status);

/// To be called behind everything that is queued on the device's stream: kernels, calls of
/// libraries, copies, collectives, replays. Throws where it was refused. With TRIREME_SYNC_DEBUG=1
/// it also waits for it, so that a fault names the op that caused it; not while a graph is
/// captured.
void check_launch(const char* op, Cuda device);

}  // namespace trireme::cuda

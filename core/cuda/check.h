// Turning CUDA status codes into errors that say what to do.
//
// Host code that includes CUDA headers exists in builds with CUDA only (kHasCuda); everything else
// includes core/base/device_tag.h.

#pragma once

#include <cuda_runtime_api.h>

#include "core/base/device_tag.h"

namespace trireme::cuda {

/// Throws CudaError `op: what happened (cudaErrorName); what to do` unless status is cudaSuccess.
/// No driver, an old driver, no device and out of memory each have a text of their own.
void check(const char* op, cudaError_t status);

/// To be called behind every kernel launch: throws where the launch was refused. With
/// TRIREME_SYNC_DEBUG=1 it also waits for the kernel, so that a fault names the op that caused it.
void check_launch(const char* op, Cuda device);

}  // namespace trireme::cuda

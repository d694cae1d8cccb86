// Memory of any device: where Storage gets its bytes.

#pragma once

#include <cstdint>

#include "core/base/device.h"
#include "core/base/memory_kind.h"

namespace trireme {

/// On a CUDA device the block belongs to the calling thread's current stream (core/cuda/memory.h).
/// Throws OutOfMemory with the statistics, CudaError where there is no such device.
void* allocate_on(Device device, int64_t bytes);
void free_on(Device device, void* block) noexcept;
void set_memory_kind_on(Device device, void* block, MemoryKind kind);

}  // namespace trireme

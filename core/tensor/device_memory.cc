#include "core/tensor/device_memory.h"

#include "core/base/device_tag.h"
#include "core/cuda/memory.h"
#include "core/tensor/allocator.h"

namespace trireme {
namespace {

// Throws in a build without CUDA, which cannot have made anything on such a device.
void require_cuda(Device device) {
  if constexpr (!kHasCuda) current_cuda(device.index);
}

}  // namespace

void* allocate_on(Device device, int64_t bytes) {
  if (device.is_cpu()) [[likely]] {
    return cpu_allocate(static_cast<size_t>(bytes));
  }
  require_cuda(device);
  if constexpr (kHasCuda) return cuda::allocate(bytes, device.index);
  return nullptr;
}

void free_on(Device device, void* block) noexcept {
  if (device.is_cpu()) [[likely]] {
    return cpu_free(block);
  }
  if constexpr (kHasCuda) cuda::free(block, device.index);
}

void set_memory_kind_on(Device device, void* block, MemoryKind kind) {
  if (device.is_cpu()) return set_memory_kind(block, kind);
  if constexpr (kHasCuda) cuda::set_memory_kind(block, device.index, kind);
}

MemoryStats memory_stats(Device device) {
  if (device.is_cpu()) return memory_stats();
  require_cuda(device);
  if constexpr (kHasCuda) return cuda::memory_stats(device.index);
  return {};
}

void reset_peak_memory(Device device) {
  if (device.is_cpu()) return reset_peak_memory();
  require_cuda(device);
  if constexpr (kHasCuda) cuda::reset_peak_memory(device.index);
}

void release_cached_memory(Device device) {
  if (device.is_cpu()) return release_cached_memory();
  require_cuda(device);
  if constexpr (kHasCuda) cuda::release_cached_memory(device.index);
}

}  // namespace trireme

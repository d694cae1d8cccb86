#include "core/cuda/memory.h"

#include "core/cuda/allocator.h"
#include "core/cuda/stream.h"

namespace trireme::cuda {

void* allocate(int64_t bytes, int device) {
  const cudaStream_t stream = current_stream(device);
  return Allocator::of(device).allocate(bytes, stream);
}

void free(void* block, int device) noexcept {
  if (block) Allocator::of(device).free(block);
}

void set_memory_kind(void* block, int device, MemoryKind kind) {
  Allocator::of(device).set_kind(block, kind);
}

MemoryStats memory_stats(int device) { return Allocator::of(device).stats(); }
void reset_peak_memory(int device) { Allocator::of(device).reset_peak(); }
void release_cached_memory(int device) { Allocator::of(device).release_cached(); }

Workspace::Workspace(Cuda device, int64_t bytes) : device_(device.index) {
  if (bytes == 0) return;
  const MemoryKindGuard kind(MemoryKind::kWorkspace);
  data_ = Allocator::of(device.index).allocate(bytes, device.stream);
}

Workspace::~Workspace() { free(data_, device_); }

}  // namespace trireme::cuda

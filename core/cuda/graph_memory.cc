#include "core/cuda/graph_memory.h"

#include "core/cuda/allocator.h"
#include "core/cuda/stream.h"

namespace trireme::cuda {

GraphMemory::~GraphMemory() {
  // Freed on the device's own stream, behind the replays (Graph::~Graph has ordered those of other
  // streams) and behind the allocations, which were made on another.
  try {
    const cudaStream_t stream = default_stream(device_);
    Event allocated(device_);
    allocated.record(allocation_stream(device_));
    allocated.make_wait(stream);
    Allocator::of(device_).free_graph_memory(owned_, stream);
  } catch (...) {  // the process ends, or the device is gone: so is its memory
  }
}

void* GraphMemory::take(int64_t bytes) {
  const auto it = free_.lower_bound(bytes);
  if (it == free_.end() || it->first > 2 * bytes) return nullptr;
  void* const block = it->second;
  free_.erase(it);
  return block;
}

void GraphMemory::give(void* block, int64_t bytes) { free_.emplace(bytes, block); }

void GraphMemory::own(void* block, int64_t bytes) {
  owned_.push_back(block);
  held_bytes_ += bytes;
}

std::shared_ptr<GraphMemory>& captured_memory() {
  static thread_local std::shared_ptr<GraphMemory> memory;
  return memory;
}

}  // namespace trireme::cuda

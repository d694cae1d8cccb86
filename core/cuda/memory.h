// Device memory: stream-ordered, from a CUDA memory pool of our own, counted by kind.
//
// A block belongs to the stream that was current when it was allocated: it may be used there at
// once, and freeing it is ordered behind the work queued there so far. Who uses it on another
// stream keeps it alive until that work is ordered before its own stream (an Event). Freed memory
// is kept: small blocks in lists by stream and size, the rest in the pool, so that the steady state
// makes no system call. Thread-safe.
//
// While a step is captured (core/cuda/graph.h) blocks come from the graph's own memory.

#pragma once

#include <cstdint>

#include "core/base/device_tag.h"
#include "core/base/memory_kind.h"

namespace trireme::cuda {

/// At least `bytes` bytes aligned to 256, on the current stream of `device`. Throws OutOfMemory
/// that shows the request, what is in use by kind, what the device has free, the largest block that
/// can be had, and what to do.
void* allocate(int64_t bytes, int device);
/// Ordered on the stream the block was allocated on. Never throws.
void free(void* block, int device) noexcept;
void set_memory_kind(void* block, int device, MemoryKind kind);
MemoryStats memory_stats(int device);
void reset_peak_memory(int device);
/// Gives what is held but not used back to the device, as far as work that uses it is done.
void release_cached_memory(int device);

/// Working memory of a kernel for the length of a call: `Workspace w(device, bytes)`; freed behind
/// the work queued so far, so it may go out of scope as soon as the kernels are launched.
class Workspace {
 public:
  Workspace(Cuda device, int64_t bytes);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
  int device_;
};

}  // namespace trireme::cuda

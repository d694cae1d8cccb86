// Device memory: stream-ordered, from CUDA's memory pools, counted by kind; and pinned host memory.
//
// A block belongs to the stream that was current when it was allocated: it may be used there at
// once, and freeing it is ordered behind the work queued there so far. Who uses it on another
// stream keeps it alive until that work is ordered before its own stream (an Event). The pool keeps
// freed memory, so that the steady state makes no system call.

#pragma once

#include <cstdint>
#include <memory>

#include "core/base/device_tag.h"
#include "core/base/memory_kind.h"

namespace trireme::cuda {

/// At least `bytes` bytes aligned to 256, on the current stream of `device`. Throws CudaError
/// (OutOfMemory) that shows the request, what is in use by kind, what the device has free, the
/// largest free block, and what to do.
void* allocate(int64_t bytes, int device);
/// Ordered on the stream the block was allocated on. Never throws.
void free(void* block, int device) noexcept;
void set_memory_kind(void* block, int device, MemoryKind kind);
MemoryStats memory_stats(int device);
void reset_peak_memory(int device);
/// Gives what the pool holds but nobody uses back to the device.
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

/// Page-locked host memory, which copies to and from the device run beside the host with. Cached by
/// size; returns to the cache with the last pointer.
std::shared_ptr<void> allocate_pinned(int64_t bytes);

}  // namespace trireme::cuda

// Buffers that an NCCL communicator hands out, and finds again when a collective uses them.

#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "distributed/nccl_connection.h"

namespace trireme {

class NcclMemory {
 public:
  NcclMemory(std::shared_ptr<NcclConnection> connection, bool registered)
      : connection_(std::move(connection)), registered_(registered) {}

  /// Zeroed, on the current stream, counted under the calling thread's MemoryKind, else as
  /// communication. Plain: from the stream-ordered pool. Registered: from ncclMemAlloc; freeing it
  /// then waits on the host for the stream it was allocated on, no longer than for a collective:
  /// where that ends, or the communicator, first, the buffer stays until the process ends. May
  /// outlive the communicator.
  std::shared_ptr<void> allocate(int64_t bytes);

  /// The owner of the buffer that `data` lies in; null if it is not one of these.
  std::shared_ptr<const void> owner_of(const void* data);

 private:
  struct Block {
    const std::byte* begin = nullptr;
    int64_t bytes = 0;
    std::weak_ptr<void> owner;
  };
  std::shared_ptr<void> allocate_registered(int64_t bytes, cudaStream_t stream);

  const std::shared_ptr<NcclConnection> connection_;
  const bool registered_;
  std::mutex mutex_;
  std::vector<Block> blocks_;  // guarded by mutex_; those that are gone are forgotten in allocate()
};

}  // namespace trireme

#include "distributed/nccl_memory.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "core/base/log.h"
#include "core/cuda/allocator.h"
#include "core/cuda/api.h"
#include "core/cuda/check.h"
#include "core/cuda/graph.h"
#include "core/cuda/memory.h"
#include "core/cuda/stream.h"
#include "distributed/communication_kind.h"
#include "distributed/nccl_error.h"

namespace trireme {
namespace {

/// Waits on the host for `event`. Throws where it may never come: its stream may wait for a
/// collective that peers have left, and this thread may be the one that looks after those.
void wait_for(const NcclConnection& connection, const cuda::Event& event) {
  if (event.is_done()) return;
  cuda::count_sync();
  const auto begin = NcclConnection::Clock::now();
  while (!event.is_done()) {
    connection.throw_if_failed();
    if (connection.is_ending() || NcclConnection::Clock::now() - begin > connection.timeout()) {
      throw CommError(CommError::Kind::kAborted, "its stream is at work");
    }
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

constexpr int64_t kAlignment = 256;

}  // namespace

std::shared_ptr<void> NcclMemory::allocate(int64_t bytes) {
  require(bytes >= 0, "allocate", "size must not be negative, got ", bytes);
  const int device = connection_->place().device;
  const cudaStream_t stream = cuda::current_stream(device);
  const int64_t size = std::max(bytes, kAlignment);
  const MemoryKindGuard kind(communication_kind());
  std::shared_ptr<void> memory;
  if (registered_) {
    memory = allocate_registered(size, stream);
  } else {
    memory.reset(cuda::allocate(size, device),
                 [device](void* block) { cuda::free(block, device); });
  }
  cuda::check("allocate",
              cuda::api().memset_async(memory.get(), 0, static_cast<size_t>(size), stream));
  cuda::check_launch("allocate", {stream, device});
  const std::lock_guard lock(mutex_);
  std::erase_if(blocks_, [](const Block& block) { return block.owner.expired(); });
  blocks_.push_back({static_cast<const std::byte*>(memory.get()), size, memory});
  return memory;
}

std::shared_ptr<void> NcclMemory::allocate_registered(int64_t bytes, cudaStream_t stream) {
  cuda::refuse_while_capturing("allocate", "allocate registered buffers before the capture");
  const NcclApi& api = connection_->api();
  void* block = nullptr;
  check_nccl(api, "ncclMemAlloc", api.mem_alloc(&block, static_cast<size_t>(bytes)));
  void* handle = nullptr;
  try {
    connection_->call("ncclCommRegister", [&](ncclComm_t comm) {
      return api.comm_register(comm, block, static_cast<size_t>(bytes), &handle);
    });
  } catch (const std::exception&) {
    api.mem_free(block);
    throw;
  }
  const MemoryKind kind = current_memory_kind();
  cuda::Allocator::of(connection_->place().device).count_external(kind, bytes);
  const auto release = [connection = connection_, handle, stream, bytes, kind](void* memory) {
    try {
      // After a failure kernels may still be at work on it, and nobody can tell when they stop:
      // then it stays until the process ends.
      connection->throw_if_failed();
      cuda::Event idle(connection->place().device);
      idle.record(stream);
      wait_for(*connection, idle);
      const NcclApi& nccl = connection->api();
      if (connection->is_connected()) {
        connection->call("ncclCommDeregister",
                         [&](ncclComm_t comm) { return nccl.comm_deregister(comm, handle); });
      }
      check_nccl(nccl, "ncclMemFree", nccl.mem_free(memory));
      cuda::Allocator::of(connection->place().device).count_external(kind, -bytes);
    } catch (const std::exception& error) {
      log_debug("nccl: a registered buffer is not given back: ", error.what());
    }
  };
  return {block, release};
}

std::shared_ptr<const void> NcclMemory::owner_of(const void* data) {
  const auto* at = static_cast<const std::byte*>(data);
  const std::lock_guard lock(mutex_);
  for (const Block& block : blocks_) {
    if (block.begin <= at && at < block.begin + block.bytes) return block.owner.lock();
  }
  return nullptr;
}

}  // namespace trireme

#include "distributed/local_communicator.h"

#include "distributed/board_transport.h"
#include "distributed/page_memory.h"
#include "distributed/transport_communicator.h"

namespace trireme {
namespace {

/// Threads see all memory, so a buffer's address is its pointer.
class ThreadMemory final : public PeerMemory {
 public:
  Address find(const void* data, int64_t /*bytes*/) const override {
    return {.region = 0, .offset = reinterpret_cast<intptr_t>(data)};
  }
  std::byte* at(int /*rank*/, const Address& address) const override {
    return reinterpret_cast<std::byte*>(address.offset);
  }
  std::byte* staging(int /*rank*/) const override { return nullptr; }
  int64_t staging_bytes() const override { return 0; }
  bool lends_callers_memory() const override { return true; }
  std::shared_ptr<void> allocate(int64_t bytes) override { return allocate_pages(bytes); }
};

}  // namespace

std::vector<std::unique_ptr<Communicator>> make_local_communicators(int world_size,
                                                                    const CommOptions& options) {
  require(world_size >= 1, "make_local_communicators", "needs at least one rank, got ", world_size);
  const std::shared_ptr<void> shared = allocate_pages(BoardMemory::bytes_for(world_size));
  const std::vector<ProcessIdentity> processes(world_size, this_process());
  BoardMemory::format(shared.get(), processes);
  std::vector<std::unique_ptr<Communicator>> communicators;
  for (int rank = 0; rank < world_size; ++rank) {
    auto transport = std::make_unique<BoardTransport>(
        "local", shared, std::make_unique<ThreadMemory>(), rank, world_size, options.timeout);
    communicators.push_back(
        std::make_unique<TransportCommunicator>(std::move(transport), rank, world_size, options));
  }
  return communicators;
}

}  // namespace trireme

// Buffers that the processes of a node share.

#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "distributed/node_group.h"
#include "distributed/peer_memory.h"

namespace trireme {

/// One allocation is a region: world_size equal parts, part r for rank r, mapped by every rank.
class ShmMemory final : public PeerMemory {
 public:
  /// Collective; allocates the staging area.
  ShmMemory(std::unique_ptr<NodeGroup> group, int rank, int world_size);

  Address find(const void* data, int64_t bytes) const override;
  std::byte* at(int rank, const Address& address) const override;
  std::byte* staging(int rank) const override { return staging_.part(rank); }
  int64_t staging_bytes() const override { return staging_.bytes; }
  bool lends_callers_memory() const override { return false; }  // each rank has its own mapping
  std::shared_ptr<void> allocate(int64_t bytes) override;

 private:
  struct Region {
    std::shared_ptr<void> mapping;
    int64_t bytes = 0;   // of a part
    int64_t stride = 0;  // from part to part
    std::byte* part(int rank) const {
      return static_cast<std::byte*>(mapping.get()) + rank * stride;
    }
  };
  /// Knows regions by number and by this rank's address. Shared with the allocations, which may
  /// outlive this.
  struct Table {
    std::mutex mutex;
    std::map<int64_t, Region> regions;                  // guarded by mutex
    std::map<const std::byte*, int64_t> own_addresses;  // guarded by mutex
  };

  Region make_region(int64_t bytes);

  const std::unique_ptr<NodeGroup> group_;
  const int rank_;
  const int world_size_;
  const std::shared_ptr<Table> table_;
  int64_t next_region_ = 0;
  Region staging_;
};

}  // namespace trireme

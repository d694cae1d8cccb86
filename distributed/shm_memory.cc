#include "distributed/shm_memory.h"

#include <algorithm>

#include "core/base/error.h"

namespace trireme {
namespace {

constexpr int64_t kPageBytes = 4096;
// Half of a usual second-level cache: a chunk is still there when it is reduced and copied back.
constexpr int64_t kStagingBytes = 512 << 10;

}  // namespace

ShmMemory::ShmMemory(std::unique_ptr<NodeGroup> group, int rank, int world_size)
    : group_(std::move(group)),
      rank_(rank),
      world_size_(world_size),
      table_(std::make_shared<Table>()) {
  staging_ = make_region(kStagingBytes);
}

ShmMemory::Region ShmMemory::make_region(int64_t bytes) {
  Region region;
  region.bytes = bytes;
  region.stride = std::max<int64_t>(1, (bytes + kPageBytes - 1) / kPageBytes) * kPageBytes;
  const int64_t all = region.stride * world_size_;
  FileDescriptor memory;
  if (rank_ == 0) {
    try {
      memory = make_shared_memory(all);
    } catch (const std::exception& error) {
      group_->give_error(error);
      throw;
    }
    group_->give(memory);
  } else {
    memory = group_->take();
  }
  // Each rank takes its own part, so that its pages come from its own memory node.
  reserve_shared_memory(memory, rank_ * region.stride, region.stride);
  region.mapping = map_shared_memory(memory, all);
  return region;
}

std::shared_ptr<void> ShmMemory::allocate(int64_t bytes) {
  Region region = make_region(bytes);
  const int64_t number = next_region_++;
  std::byte* own = region.part(rank_);
  {
    std::lock_guard lock(table_->mutex);
    table_->own_addresses[own] = number;
    table_->regions[number] = std::move(region);
  }
  return {own, [table = table_, number](std::byte* p) {
            std::lock_guard lock(table->mutex);
            table->own_addresses.erase(p);
            table->regions.erase(number);
          }};
}

Address ShmMemory::find(const void* data, int64_t bytes) const {
  const auto* begin = static_cast<const std::byte*>(data);
  std::lock_guard lock(table_->mutex);
  auto next = table_->own_addresses.upper_bound(begin);
  if (next == table_->own_addresses.begin()) return {};
  const auto [own, number] = *std::prev(next);
  if (begin + bytes > own + table_->regions.at(number).bytes) return {};
  return {.region = number, .offset = begin - own};
}

std::byte* ShmMemory::at(int rank, const Address& address) const {
  std::lock_guard lock(table_->mutex);
  return table_->regions.at(address.region).part(rank) + address.offset;
}

}  // namespace trireme

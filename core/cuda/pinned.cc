#include "core/cuda/pinned.h"

#include <array>
#include <atomic>
#include <bit>
#include <deque>
#include <mutex>
#include <vector>

#include "core/base/error.h"
#include "core/cuda/api.h"
#include "core/cuda/check.h"
#include "core/cuda/device.h"
#include "core/cuda/stream.h"

namespace trireme::cuda {
namespace {

constexpr int kSizes = 63;  // powers of two
constexpr int64_t kMostInFlight = int64_t{1} << 30;

struct Cache {
  std::mutex mutex;
  std::array<std::vector<void*>, kSizes> free;  // guarded by mutex
};
Cache& cache() {
  static auto* const cache = new Cache;
  return *cache;
}
std::atomic<int64_t> total{0};

// Buffers that queued copies still read. One list per device, oldest first.
struct InFlight {
  struct Entry {
    std::unique_ptr<Event> done;
    std::shared_ptr<void> buffer;
    int64_t bytes;
  };
  std::mutex mutex;
  // Guarded by mutex.
  std::deque<Entry> entries;
  int64_t bytes = 0;

  void drop_oldest() {
    bytes -= entries.front().bytes;
    entries.pop_front();
  }
};
InFlight& in_flight(int device) {
  static auto* const lists = new std::array<InFlight, kMaxDevices>;
  return lists->at(static_cast<size_t>(device));
}

void give_back(void* data, int size) {
  Cache& all = cache();
  std::lock_guard lock(all.mutex);
  all.free[static_cast<size_t>(size)].push_back(data);
}

}  // namespace

std::shared_ptr<void> allocate_pinned(int64_t bytes) {
  const auto asked = static_cast<uint64_t>(bytes > 256 ? bytes : 256);
  const int size = std::bit_width(asked - 1);
  void* data = nullptr;
  {
    Cache& all = cache();
    std::lock_guard lock(all.mutex);
    auto& list = all.free[static_cast<size_t>(size)];
    if (!list.empty()) {
      data = list.back();
      list.pop_back();
    }
  }
  if (!data) {
    const size_t rounded = size_t{1} << size;
    const cudaError_t status = api().host_alloc(&data, rounded, cudaHostAllocPortable);
    if (status == cudaErrorMemoryAllocation) {
      api().get_last_error();
      throw OutOfMemory(concat("allocate_pinned: the system locks no ", rounded, " bytes more, ",
                               total.load(), " are locked already; see ulimit -l and free -h"));
    }
    check("allocate_pinned", status);
    total += static_cast<int64_t>(rounded);
  }
  return {data, [size](void* block) { give_back(block, size); }};
}

void keep_until_done(Cuda device, std::shared_ptr<void> buffer, int64_t bytes) {
  InFlight& flying = in_flight(device.index);
  std::unique_ptr<Event> done;
  try {
    done = std::make_unique<Event>(device.index);
    done->record(device.stream);
  } catch (...) {
    abandon_pinned(std::move(buffer));
    throw;
  }
  std::lock_guard lock(flying.mutex);
  // Before a question may fail.
  flying.entries.push_back({std::move(done), std::move(buffer), bytes});
  flying.bytes += bytes;
  while (!flying.entries.empty() && flying.entries.front().done->is_done()) flying.drop_oldest();
  while (flying.bytes > kMostInFlight) {
    flying.entries.front().done->synchronize();
    flying.drop_oldest();
  }
}

void abandon_pinned(std::shared_ptr<void> buffer) {
  static std::mutex mutex;
  static auto* const abandoned = new std::vector<std::shared_ptr<void>>;
  std::lock_guard lock(mutex);
  abandoned->push_back(std::move(buffer));
}

int64_t pinned_bytes() { return total.load(); }

}  // namespace trireme::cuda

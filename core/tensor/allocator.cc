#include "core/tensor/allocator.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <utility>

#include "core/base/error.h"
#include "core/base/memory_text.h"
#include "core/base/sanitizer.h"

namespace trireme {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kLargestSmall = 2048;
constexpr int kSmallClasses = 6;  // 64, 128, ... 2048
constexpr int kMostCachedPerClass = 1024;
constexpr size_t kHugePage = size_t{2} << 20;

// Precedes every block, in a cache line of its own so that the block stays aligned.
struct alignas(kAlignment) Header {
  size_t bytes;     // behind the header
  size_t reserved;  // from the system, the header included
  Header* next;     // in a free list
  MemoryKind kind;
};
static_assert(sizeof(Header) == kAlignment);

std::atomic<int64_t> allocated_by_kind[kMemoryKinds];
std::atomic<int64_t> total_allocated{0};
std::atomic<int64_t> peak_allocated{0};
std::atomic<int64_t> reserved{0};

void to_system(Header* block) noexcept {
  reserved.fetch_sub(static_cast<int64_t>(block->reserved), std::memory_order_relaxed);
  std::free(block);
}

void count_now(MemoryKind kind, int64_t bytes) {
  allocated_by_kind[static_cast<int>(kind)].fetch_add(bytes, std::memory_order_relaxed);
  const int64_t total = total_allocated.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  int64_t peak = peak_allocated.load(std::memory_order_relaxed);
  while (total > peak && !peak_allocated.compare_exchange_weak(peak, total)) {
  }
}

// Small blocks are cached and counted per thread: an atomic update per block would cost more than
// the rest of a tiny op. What is not yet counted globally stays below kFlushBytes.
struct ThreadCache {
  static constexpr int64_t kFlushBytes = 64 << 10;

  Header* free[kSmallClasses] = {};
  int count[kSmallClasses] = {};
  int64_t uncounted[kMemoryKinds] = {};

  void add(MemoryKind k, int64_t bytes) {
    int64_t& delta = uncounted[static_cast<int>(k)];
    delta += bytes;
    if (delta > kFlushBytes || delta < -kFlushBytes) count_now(k, std::exchange(delta, 0));
  }
  void flush() {
    for (int k = 0; k < kMemoryKinds; ++k) {
      if (uncounted[k]) count_now(static_cast<MemoryKind>(k), std::exchange(uncounted[k], 0));
    }
  }
};

// The cache itself is trivially destructible, so blocks may still be freed while a thread's other
// thread-locals are being destroyed; from then on `closed` sends them straight to the system.
thread_local ThreadCache cache;
thread_local bool cache_closed = false;
struct CacheCloser {
  ~CacheCloser() {
    cache_closed = true;
    cache.flush();
    for (Header*& list : cache.free) {
      while (list) {
        to_system(std::exchange(list, list->next));
      }
    }
  }
};
// Called wherever the cache may begin to hold something: a thread that only frees has one to close,
// too.
void close_at_thread_exit() { static thread_local CacheCloser closer; }

struct LargeBlocks {
  std::mutex mutex;
  // Guarded by mutex.
  std::multimap<size_t, Header*> free;
  int64_t cached = 0;  // bytes of `free`
};
LargeBlocks& large_blocks() {
  // Never destroyed: tensors in static objects may be freed after main.
  static LargeBlocks* blocks = new LargeBlocks;
  return *blocks;
}

int small_class(size_t bytes) {
  return bytes <= kAlignment ? 0 : std::bit_width(bytes - 1) - std::bit_width(kAlignment - 1);
}

// Eighths of a power of two: at most 12.5 % is wasted, and equal requests meet the same class.
size_t round_large(size_t bytes) {
  const size_t step = std::max<size_t>(std::bit_floor(bytes) / 8, 4096);
  return (bytes + step - 1) / step * step;
}

Header* from_system(size_t bytes) {
  const bool huge = bytes >= kHugePage;
  const size_t whole = bytes + sizeof(Header);
  void* block = nullptr;
  if (::posix_memalign(&block, huge ? kHugePage : kAlignment, whole) != 0) return nullptr;
  // Only a hint, and for whole huge pages only: the header pushes the end of a block that is a
  // power of two over into the next one, which would double a block of 2 MiB.
  if (huge) ::madvise(block, whole / kHugePage * kHugePage, MADV_HUGEPAGE);
  reserved.fetch_add(static_cast<int64_t>(whole), std::memory_order_relaxed);
  return new (block) Header{bytes, whole, nullptr, MemoryKind::kOther};
}

Header* take_large(size_t bytes) {
  LargeBlocks& blocks = large_blocks();
  std::lock_guard lock(blocks.mutex);
  const auto it = blocks.free.lower_bound(bytes);
  if (it == blocks.free.end() || it->first > bytes + bytes / 4) {
    // Nothing fits. Where sizes keep changing, what is kept is of no use: the smallest go first.
    const int64_t most = peak_allocated.load(std::memory_order_relaxed);
    while (blocks.cached > most) {
      blocks.cached -= static_cast<int64_t>(blocks.free.begin()->first);
      to_system(blocks.free.begin()->second);
      blocks.free.erase(blocks.free.begin());
    }
    return nullptr;
  }
  Header* block = it->second;
  blocks.free.erase(it);
  blocks.cached -= static_cast<int64_t>(block->bytes);
  return block;
}

void keep_large(Header* block) noexcept {
  LargeBlocks& blocks = large_blocks();
  std::lock_guard lock(blocks.mutex);
  try {
    // Ahead of its equals: the next tensor of this size gets memory that may still be in the cache.
    blocks.free.emplace_hint(blocks.free.lower_bound(block->bytes), block->bytes, block);
    blocks.cached += static_cast<int64_t>(block->bytes);
  } catch (const std::bad_alloc&) {
    to_system(block);
  }
}

[[noreturn]] void fail_out_of_memory(size_t bytes) {
  const MemoryStats stats = memory_stats();
  throw OutOfMemory(concat("allocate: out of memory on cpu, asked for ", bytes, " bytes (",
                           bytes >> 20, " MiB); in MiB: in use ", in_use_text(stats), ", held ",
                           stats.reserved_bytes >> 20, "; use a smaller batch or model"));
}

}  // namespace

void* cpu_allocate(size_t bytes) {
  ThreadCache& mine = cache;
  Header* block = nullptr;
  if (kAddressSanitizer) {
    block = from_system(bytes);
    if (!block) fail_out_of_memory(bytes);
    block->kind = current_memory_kind();
    count_now(block->kind, static_cast<int64_t>(block->bytes));
  } else if (bytes <= kLargestSmall) {
    const int k = small_class(bytes);
    block = mine.free[k];
    if (block) {
      mine.free[k] = block->next;
      --mine.count[k];
    } else {
      close_at_thread_exit();
      block = from_system(kAlignment << k);
      if (!block) fail_out_of_memory(bytes);
    }
    block->kind = current_memory_kind();
    mine.add(block->kind, static_cast<int64_t>(block->bytes));
  } else {
    const size_t rounded = round_large(bytes);
    block = take_large(rounded);
    if (!block) block = from_system(rounded);
    if (!block) {
      release_cached_memory();
      block = from_system(rounded);
    }
    if (!block) fail_out_of_memory(bytes);
    block->kind = current_memory_kind();
    count_now(block->kind, static_cast<int64_t>(block->bytes));
  }
  return block + 1;
}

void cpu_free(void* data) noexcept {
  if (!data) return;
  Header* block = static_cast<Header*>(data) - 1;
  const auto bytes = static_cast<int64_t>(block->bytes);
  if (kAddressSanitizer || block->bytes > kLargestSmall) {
    count_now(block->kind, -bytes);
    return kAddressSanitizer ? to_system(block) : keep_large(block);
  }
  const int k = small_class(block->bytes);
  if (cache_closed) {
    count_now(block->kind, -bytes);
  } else {
    if (cache.count[k] == 0) close_at_thread_exit();
    cache.add(block->kind, -bytes);
    if (cache.count[k] < kMostCachedPerClass) {
      block->next = cache.free[k];
      cache.free[k] = block;
      ++cache.count[k];
      return;
    }
  }
  to_system(block);
}

void set_memory_kind(void* data, MemoryKind kind) {
  Header* block = static_cast<Header*>(data) - 1;
  if (block->kind == kind) return;
  const auto bytes = static_cast<int64_t>(block->bytes);
  cache.add(block->kind, -bytes);
  cache.add(kind, bytes);
  block->kind = kind;
}

void count_external_bytes(MemoryKind kind, int64_t bytes) {
  count_now(kind, bytes);
  reserved.fetch_add(bytes, std::memory_order_relaxed);
}

MemoryStats memory_stats() {
  cache.flush();
  MemoryStats stats;
  for (int k = 0; k < kMemoryKinds; ++k) {
    stats.allocated_bytes[k] = allocated_by_kind[k].load(std::memory_order_relaxed);
    stats.total_allocated_bytes += stats.allocated_bytes[k];
  }
  stats.peak_allocated_bytes = peak_allocated.load(std::memory_order_relaxed);
  stats.reserved_bytes = reserved.load(std::memory_order_relaxed);
  return stats;
}

void reset_peak_memory() {
  cache.flush();
  peak_allocated = total_allocated.load();
}

void release_cached_memory() {
  LargeBlocks& blocks = large_blocks();
  std::lock_guard lock(blocks.mutex);
  for (const auto& [bytes, block] : blocks.free) to_system(block);
  blocks.free.clear();
  blocks.cached = 0;
}

}  // namespace trireme

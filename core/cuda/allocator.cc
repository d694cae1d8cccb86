#include "core/cuda/allocator.h"

#include <algorithm>
#include <limits>

#include "core/base/error.h"
#include "core/base/memory_text.h"
#include "core/cuda/api.h"
#include "core/cuda/check.h"
#include "core/cuda/device.h"
#include "core/cuda/graph.h"
#include "core/cuda/stream.h"

namespace trireme::cuda {
namespace {

cudaMemPool_t make_pool(int device) {
  cudaMemPoolProps props{};
  props.allocType = cudaMemAllocationTypePinned;
  props.location.type = cudaMemLocationTypeDevice;
  props.location.id = device;
  cudaMemPool_t pool = nullptr;
  check("allocate", api().mem_pool_create(&pool, &props));
  // Nothing goes back to the device at a synchronisation: the next step needs it again.
  uint64_t keep = std::numeric_limits<uint64_t>::max();
  check("allocate", api().mem_pool_set_attribute(pool, cudaMemPoolAttrReleaseThreshold, &keep));
  return pool;
}

}  // namespace

Allocator& Allocator::of(int device) {
  static std::array<Allocator*, kMaxDevices> allocators{};
  static std::array<std::once_flag, kMaxDevices> made;
  require(device >= 0 && device < kMaxDevices, "allocate", "device must be from 0 to ",
          kMaxDevices - 1, ", got ", device);
  const auto at = static_cast<size_t>(device);
  std::call_once(made[at], [&] { allocators[at] = new Allocator(device); });
  return *allocators[at];
}

Allocator::Allocator(int device) : device_(device) {
  make_current(device);
  pool_ = make_pool(device);
}

void* Allocator::from_pool(int64_t bytes, cudaStream_t stream) {
  void* data = nullptr;
  const cudaError_t status =
      api().malloc_from_pool_async(&data, static_cast<size_t>(bytes), pool_, stream);
  if (status == cudaErrorMemoryAllocation) {
    api().get_last_error();
    return nullptr;
  }
  check("allocate", status);
  return data;
}

void* Allocator::take(int64_t bytes, cudaStream_t stream) {
  if (bytes <= kLargestSmall) {
    auto& list = cached_[stream][static_cast<size_t>(size_class(bytes).index)];
    if (!list.empty()) {
      void* const data = list.back();
      list.pop_back();
      return data;
    }
  }
  void* data = from_pool(bytes, stream);
  if (data) return data;
  // What is cached, and what work in flight still holds, may be enough.
  flush_lists();
  if (api().stream_synchronize(stream) != cudaSuccess) api().get_last_error();
  count_sync();
  return from_pool(bytes, stream);
}

// Blocks come from a stream that is not being captured, so that they are memory, not a node.
void* Allocator::take_for_graph(GraphMemory& graph, int64_t bytes) {
  if (void* const data = graph.take(bytes)) return data;
  void* const data = take(bytes, allocation_stream(device_));
  if (data) graph.own(data, bytes);
  return data;
}

void* Allocator::allocate(int64_t bytes, cudaStream_t stream) {
  const int64_t rounded = bytes <= kLargestSmall
                              ? size_class(bytes).bytes
                              : (bytes + kBlockUnit - 1) / kBlockUnit * kBlockUnit;
  const std::shared_ptr<GraphMemory>& captured = captured_memory();
  const bool for_graph = captured && captured->captured_stream() == stream;
  if (captured && !for_graph) {
    refuse_while_capturing("allocate", "allocate on the step's own stream, or before the capture");
  }
  std::lock_guard lock(mutex_);
  void* const data = for_graph ? take_for_graph(*captured, rounded) : take(rounded, stream);
  if (!data) fail_out_of_memory(bytes, for_graph ? allocation_stream(device_) : stream);
  const MemoryKind kind = current_memory_kind();
  blocks_[data] = {rounded, stream, for_graph ? captured : nullptr, kind};
  count(kind, rounded);
  return data;
}

void Allocator::free(void* data) noexcept {
  if (!data) return;
  std::shared_ptr<GraphMemory> last;  // may free blocks, which needs the mutex: so it dies after it
  std::lock_guard lock(mutex_);
  const auto it = blocks_.find(data);
  if (it == blocks_.end()) return;
  Block block = std::move(it->second);
  blocks_.erase(it);
  count(block.kind, -block.bytes);
  if (block.graph) {
    if (block.graph->is_capturing()) block.graph->give(data, block.bytes);
    last = std::move(block.graph);
  } else if (GraphMemory* const captured = captured_on(block.stream)) {
    captured->own(data, block.bytes);  // captured work may use it
  } else if (block.bytes <= kLargestSmall) {
    cached_[block.stream][static_cast<size_t>(size_class(block.bytes).index)].push_back(data);
  } else {
    api().free_async(data, block.stream);
  }
}

GraphMemory* Allocator::captured_on(cudaStream_t stream) const {
  for (const auto& graph : captures_) {
    if (graph->captured_stream() == stream) return graph.get();
  }
  return nullptr;
}

void Allocator::begin_capture(std::shared_ptr<GraphMemory> graph) {
  std::lock_guard lock(mutex_);
  captures_.push_back(std::move(graph));
}

void Allocator::end_capture(GraphMemory& graph) noexcept {
  std::lock_guard lock(mutex_);
  graph.end_capture();
  std::erase_if(captures_, [&](const auto& other) { return other.get() == &graph; });
}

void Allocator::set_kind(void* data, MemoryKind kind) {
  std::lock_guard lock(mutex_);
  const auto it = blocks_.find(data);
  if (it == blocks_.end()) return;
  count(it->second.kind, -it->second.bytes);
  it->second.kind = kind;
  count(kind, it->second.bytes);
}

void Allocator::count_external(MemoryKind kind, int64_t bytes) {
  std::lock_guard lock(mutex_);
  external_bytes_ += bytes;
  count(kind, bytes);
}

void Allocator::count(MemoryKind kind, int64_t bytes) {
  stats_.allocated_bytes[static_cast<size_t>(kind)] += bytes;
  stats_.total_allocated_bytes += bytes;
  stats_.peak_allocated_bytes = std::max(stats_.peak_allocated_bytes, stats_.total_allocated_bytes);
}

int64_t Allocator::reserved_bytes() {
  uint64_t reserved = 0;
  api().mem_pool_get_attribute(pool_, cudaMemPoolAttrReservedMemCurrent, &reserved);
  return static_cast<int64_t>(reserved) + external_bytes_;
}

MemoryStats Allocator::stats() {
  std::lock_guard lock(mutex_);
  stats_.reserved_bytes = reserved_bytes();
  return stats_;
}

void Allocator::reset_peak() {
  std::lock_guard lock(mutex_);
  stats_.peak_allocated_bytes = stats_.total_allocated_bytes;
}

void Allocator::flush_lists() noexcept {
  for (auto& [stream, lists] : cached_) {
    if (captured_on(stream)) continue;
    for (auto& list : lists) {
      for (void* data : list) api().free_async(data, stream);
      list.clear();
    }
  }
}

void Allocator::release_cached() {
  std::lock_guard lock(mutex_);
  flush_lists();
  check("release_cached_memory", api().mem_pool_trim_to(pool_, 0));
}

void Allocator::move_blocks(cudaStream_t dying, cudaStream_t heir) noexcept {
  std::lock_guard lock(mutex_);
  if (const auto it = cached_.find(dying); it != cached_.end()) {
    for (auto& list : it->second) {
      for (void* data : list) api().free_async(data, heir);
    }
    cached_.erase(it);
  }
  for (auto& [data, block] : blocks_) {
    if (block.stream == dying) block.stream = heir;
  }
}

void Allocator::free_graph_memory(const std::vector<void*>& blocks, cudaStream_t stream) noexcept {
  std::lock_guard lock(mutex_);
  for (void* data : blocks) api().free_async(data, stream);
}

/// By trying: the pool does not tell. To 1/64 of what was asked for.
int64_t Allocator::largest_free_block(int64_t below, cudaStream_t stream) {
  int64_t fits = 0, fails = below;
  for (int step = 0; step < 6; ++step) {
    const int64_t middle = fits + (fails - fits) / 2;
    if (void* const data = from_pool(std::max<int64_t>(middle, 1), stream)) {
      api().free_async(data, stream);
      fits = middle;
    } else {
      fails = middle;
    }
  }
  return fits;
}

void Allocator::fail_out_of_memory(int64_t bytes, cudaStream_t stream) {
  constexpr int64_t kMiB = 1 << 20;
  const int64_t largest = largest_free_block(bytes, stream);
  size_t free_bytes = 0, total_bytes = 0;
  api().mem_get_info(&free_bytes, &total_bytes);
  throw OutOfMemory(concat(
      "allocate: out of memory on cuda:", device_, ", asked for ", bytes, " bytes (", bytes / kMiB,
      " MiB); in MiB: in use ", in_use_text(stats_), ", held ", reserved_bytes() / kMiB,
      ", device free ", static_cast<int64_t>(free_bytes) / kMiB, " of ",
      static_cast<int64_t>(total_bytes) / kMiB, ", largest block to be had ", largest / kMiB,
      "; use a smaller batch or model, bf16, or checkpointed activations, and see in nvidia-smi "
      "whether another process uses this GPU"));
}

}  // namespace trireme::cuda

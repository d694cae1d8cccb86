// The allocator of one device, behind core/cuda/memory.h.

#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "core/base/memory_kind.h"
#include "core/cuda/graph_memory.h"
#include "core/cuda/size_class.h"

namespace trireme::cuda {

/// Thread-safe. Made on first use and never destroyed: tensors may die after main.
class Allocator {
 public:
  /// The allocator of `device`. Throws CudaError where there is no such device.
  static Allocator& of(int device);

  void* allocate(int64_t bytes, cudaStream_t stream);
  void free(void* data) noexcept;
  void set_kind(void* data, MemoryKind kind);
  /// Counts memory of the device that Trireme uses but did not get from here (ncclMemAlloc).
  /// Negative bytes uncount it.
  void count_external(MemoryKind kind, int64_t bytes);
  MemoryStats stats();
  void reset_peak();
  void release_cached();
  /// Blocks of `dying` belong to `heir` from now on, which has been made to wait for `dying`.
  void move_blocks(cudaStream_t dying, cudaStream_t heir) noexcept;
  /// While a step is captured on graph->captured_stream() nothing may be freed there: what any
  /// thread frees of that stream's is kept for the replays.
  void begin_capture(std::shared_ptr<GraphMemory> graph);
  void end_capture(GraphMemory& graph) noexcept;
  /// Gives the memory of a graph that nobody uses any more back, behind the work of `stream`.
  void free_graph_memory(const std::vector<void*>& blocks, cudaStream_t stream) noexcept;

 private:
  struct Block {
    int64_t bytes = 0;
    cudaStream_t stream = nullptr;
    std::shared_ptr<GraphMemory> graph;  // null unless allocated while capturing
    MemoryKind kind = MemoryKind::kOther;
  };
  using Lists = std::array<std::vector<void*>, kSizeClasses>;

  explicit Allocator(int device);
  // All of these require mutex_.
  GraphMemory* captured_on(cudaStream_t stream) const;
  void* from_pool(int64_t bytes, cudaStream_t stream);
  void* take(int64_t bytes, cudaStream_t stream);
  void* take_for_graph(GraphMemory& graph, int64_t bytes);
  void flush_lists() noexcept;
  void count(MemoryKind kind, int64_t bytes);
  int64_t reserved_bytes();
  int64_t largest_free_block(int64_t below, cudaStream_t stream);
  [[noreturn]] void fail_out_of_memory(int64_t bytes, cudaStream_t stream);

  const int device_;
  cudaMemPool_t pool_ = nullptr;
  std::mutex mutex_;
  // Guarded by mutex_.
  std::unordered_map<void*, Block> blocks_;             // in use
  std::unordered_map<cudaStream_t, Lists> cached_;      // small ones, to be used again
  std::vector<std::shared_ptr<GraphMemory>> captures_;  // that are going on
  MemoryStats stats_;
  int64_t external_bytes_ = 0;  // in use, but not the pool's
};

}  // namespace trireme::cuda

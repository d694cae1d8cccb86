// The memory a captured step works in.
//
// Replaying a graph uses the addresses it was captured with. So blocks allocated while capturing
// come from memory that belongs to the graph; a block freed while capturing serves later requests
// of the same capture, because replay keeps their order, and blocks from before that are freed then
// stay reserved. All of it lives as long as the graph and the tensors in it.

#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace trireme::cuda {

/// Not thread-safe; Allocator uses it under its mutex.
class GraphMemory {
 public:
  GraphMemory(int device, cudaStream_t captured) : device_(device), captured_(captured) {}
  ~GraphMemory();
  GraphMemory(const GraphMemory&) = delete;

  cudaStream_t captured_stream() const { return captured_; }
  bool is_capturing() const { return capturing_; }
  void end_capture() { capturing_ = false; }

  /// A free block of `bytes` to twice that, or null.
  void* take(int64_t bytes);
  /// Makes the block free for later take() calls.
  void give(void* block, int64_t bytes);
  /// From now on the graph owns this block, whose memory is part of `held_bytes`.
  void own(void* block, int64_t bytes);
  int64_t held_bytes() const { return held_bytes_; }

 private:
  const int device_;
  const cudaStream_t captured_;
  bool capturing_ = true;
  std::multimap<int64_t, void*> free_;
  std::vector<void*> owned_;
  int64_t held_bytes_ = 0;
};

/// The memory of the graph that the calling thread is capturing, or null.
std::shared_ptr<GraphMemory>& captured_memory();

}  // namespace trireme::cuda

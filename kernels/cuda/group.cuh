// Groups of threads on the device: a warp, or a whole block.

#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "kernels/cuda/group.h"

namespace trireme::kernels {

template <typename V>
__device__ inline V shuffle_xor(V v, int mask) {
  static_assert(sizeof(V) % 4 == 0);
  uint32_t words[sizeof(V) / 4];
  memcpy(words, &v, sizeof(V));
  for (uint32_t& word : words) word = __shfl_xor_sync(0xFFFFFFFFu, word, mask);
  memcpy(&v, words, sizeof(V));
  return v;
}

/// Where the warps of a block leave their shares: 16 bytes each.
struct GroupSlots {
  uint4 slot[32];
};

/// A warp of the block, or (size > 32) the whole block.
class DeviceGroup {
 public:
  __device__ DeviceGroup(int size, GroupSlots& slots)
      : size_(size),
        rank_(static_cast<int>(threadIdx.x) & (size - 1)),
        index_(size == 32 ? static_cast<int>(threadIdx.x) / 32 : 0),
        slots_(slots.slot) {}

  __device__ int rank() const { return rank_; }
  __device__ int size() const { return size_; }
  /// Which group of the block this is.
  __device__ int index() const { return index_; }

  __device__ void sync() const {
    if (size_ == 32) {
      __syncwarp();
    } else {
      __syncthreads();
    }
  }

  template <typename V, typename Op>
  __device__ V reduce(V v, Op op) const {
    static_assert(sizeof(V) <= sizeof(uint4));
#pragma unroll
    for (int mask = 16; mask > 0; mask /= 2) v = op(v, shuffle_xor(v, mask));
    if (size_ == 32) return v;
    sync();  // the slots' last readers are done
    if (rank_ % 32 == 0) memcpy(slots_ + rank_ / 32, &v, sizeof(V));
    sync();
    memcpy(&v, slots_, sizeof(V));
    for (int warp = 1; warp < size_ / 32; ++warp) {
      V other;
      memcpy(&other, slots_ + warp, sizeof(V));
      v = op(v, other);
    }
    return v;
  }

 private:
  int size_, rank_, index_;
  uint4* slots_;
};

}  // namespace trireme::kernels

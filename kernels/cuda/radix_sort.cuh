// The kernels of radix_sort.h. A warp takes a tile of 1,024 keys: few, so that a batch of 65,536
// tokens occupies half an H200; all of it takes some 20 microseconds.

#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/radix_sort.h"

namespace trireme::kernels {

inline constexpr int kSortWarps = 2;  // tiles of a block

/// A warp's keys, each lane one.
struct WarpLanes {
  int lane;
  __device__ int rank() const { return lane; }
  __device__ int size() const { return 32; }
  __device__ uint32_t place(int digit, bool is_active, uint32_t* next) const {
    // Lanes without a key share a digit of their own.
    const uint32_t peers = __match_any_sync(0xFFFFFFFFu, is_active ? digit : kDigits);
    const int earlier = __popc(peers & ((1u << lane) - 1));
    uint32_t base = 0;
    if (is_active && earlier == 0) {
      base = next[digit];
      next[digit] = base + static_cast<uint32_t>(__popc(peers));
    }
    base = __shfl_sync(0xFFFFFFFFu, base, __ffs(static_cast<int>(peers)) - 1);
    __syncwarp();  // the next round sees the counters
    return base + static_cast<uint32_t>(earlier);
  }
};

template <typename Id>
struct KeyBody {
  const Id* ids;
  int64_t bound;
  uint32_t *keys, *positions;
  template <int>
  TRIREME_HD void run(int64_t i) const {
    keys[i] = key_of(ids[i], bound);
    positions[i] = static_cast<uint32_t>(i);
  }
};

/// Counts the digits of each tile. The counters are whole numbers: their order does not matter.
static __global__ void __launch_bounds__(32 * kSortWarps)
    count_digits_kernel(const uint32_t* keys, SortGeometry g, int pass, uint32_t* counts) {
  __shared__ uint32_t shared[kSortWarps][kDigits];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t tile = int64_t{blockIdx.x} * kSortWarps + warp;
  for (int d = lane; d < kDigits; d += 32) shared[warp][d] = 0;
  __syncwarp();
  if (tile >= g.tiles) return;
  const int64_t begin = tile * kTileKeys;
  const int64_t end = begin + kTileKeys < g.count ? begin + kTileKeys : g.count;
  for (int64_t i = begin + lane; i < end; i += 32) {
    atomicAdd(&shared[warp][digit_of(keys[i], pass)], 1u);
  }
  __syncwarp();
  for (int d = lane; d < kDigits; d += 32) {
    counts[count_index(d, tile, g.tiles)] = shared[warp][d];
  }
}

/// counts -> their running sum before each, in place, by one block.
static __global__ void __launch_bounds__(1024) running_sum_kernel(uint32_t* counts, int64_t count) {
  __shared__ uint32_t warp_sums[32];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  uint32_t before = 0;  // of all earlier rounds
  for (int64_t at = 0; at < count; at += 1024) {
    const int64_t i = at + threadIdx.x;
    const uint32_t mine = i < count ? counts[i] : 0;
    uint32_t sum = mine;
    for (int step = 1; step < 32; step *= 2) {
      const uint32_t other = __shfl_up_sync(0xFFFFFFFFu, sum, step);
      if (lane >= step) sum += other;
    }
    if (lane == 31) warp_sums[warp] = sum;
    __syncthreads();
    uint32_t earlier = 0, all = 0;
    for (int w = 0; w < 32; ++w) {
      earlier += w < warp ? warp_sums[w] : 0;
      all += warp_sums[w];
    }
    if (i < count) counts[i] = before + earlier + sum - mine;
    before += all;
    __syncthreads();
  }
}

static __global__ void __launch_bounds__(32 * kSortWarps)
    move_keys_kernel(SortGeometry g, int pass, const uint32_t* places, const uint32_t* keys,
                     const uint32_t* positions, uint32_t* sorted_keys, uint32_t* sorted_positions) {
  __shared__ uint32_t next[kSortWarps][kDigits];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t tile = int64_t{blockIdx.x} * kSortWarps + warp;
  if (tile >= g.tiles) return;
  for (int d = lane; d < kDigits; d += 32) next[warp][d] = places[count_index(d, tile, g.tiles)];
  __syncwarp();
  move_tile(WarpLanes{lane}, g, pass, tile, keys, positions, next[warp], sorted_keys,
            sorted_positions);
}

/// Elements of uint32 that sort_ids works in, its results included.
inline int64_t sort_workspace(const SortGeometry& g) { return 4 * g.count + kDigits * g.tiles; }

struct SortedIds {
  const uint32_t *keys, *positions;
};

/// ids in ascending order, equal ones in the order they stood in. Requires count < 2^31 and
/// bound < 2^32 - 1.
template <typename Id>
SortedIds sort_ids(const char* op, Cuda device, const SortGeometry& g, const Id* ids, int64_t bound,
                   uint32_t* workspace) {
  uint32_t* from = workspace;  // keys, then positions
  uint32_t* to = workspace + 2 * g.count;
  uint32_t* counts = workspace + 4 * g.count;
  launch_packs<1>(op, device, g.count, KeyBody<Id>{ids, bound, from, from + g.count});
  const Geometry tiles{.blocks = (g.tiles + kSortWarps - 1) / kSortWarps,
                       .threads = 32 * kSortWarps};
  for (int pass = 0; pass < g.passes; ++pass) {
    launch(op, device, count_digits_kernel, tiles, from, g, pass, counts);
    launch(op, device, running_sum_kernel, {.blocks = 1, .threads = 1024}, counts,
           kDigits * g.tiles);
    launch(op, device, move_keys_kernel, tiles, g, pass, counts, from, from + g.count, to,
           to + g.count);
    std::swap(from, to);
  }
  return {from, from + g.count};
}

}  // namespace trireme::kernels

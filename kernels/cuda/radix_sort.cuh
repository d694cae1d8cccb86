// The kernels of radix_sort.h. A warp takes a tile of 1,024 keys: few, so that a batch of 65,536
// tokens occupies half an H200; all of it takes some 20 microseconds.

#pragma once

#include <utility>

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

/// counts -> their running sum before each, in place, by one block. A thread takes several counts
/// a round: a million keys have 250,000 counts.
static __global__ void __launch_bounds__(1024) running_sum_kernel(uint32_t* counts, int64_t count) {
  constexpr int kEach = 8;
  __shared__ uint32_t warp_sums[32];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  uint32_t before = 0;  // of all earlier rounds
  for (int64_t at = 0; at < count; at += 1024 * kEach) {
    const int64_t first = at + int64_t{threadIdx.x} * kEach;
    uint32_t own[kEach], mine = 0;
    for (int k = 0; k < kEach; ++k) {
      own[k] = first + k < count ? counts[first + k] : 0;
      mine += own[k];
    }
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
    uint32_t place = before + earlier + sum - mine;
    for (int k = 0; k < kEach && first + k < count; ++k) {
      counts[first + k] = place;
      place += own[k];
    }
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

/// Elements of uint32 that a sort works in, its results included.
inline int64_t sort_workspace(const SortGeometry& g) { return 4 * g.count + kDigits * g.tiles; }

/// Keys and the positions they came from, and room to move them to.
struct SortBuffers {
  SortBuffers(const SortGeometry& g, uint32_t* workspace)
      : count(g.count),
        from(workspace),
        to(workspace + 2 * g.count),
        counts(workspace + 4 * g.count) {}
  uint32_t* keys() const { return from; }
  uint32_t* positions() const { return from + count; }

  int64_t count;
  uint32_t *from, *to, *counts;
};

/// The keys in ascending order of their first g.passes digits, equal ones in the order they stood
/// in, each with its position. Requires count < 2^31.
inline void sort_keys(const char* op, Cuda device, const SortGeometry& g, SortBuffers& b) {
  const Geometry tiles{.blocks = (g.tiles + kSortWarps - 1) / kSortWarps,
                       .threads = 32 * kSortWarps};
  for (int pass = 0; pass < g.passes; ++pass) {
    launch(op, device, count_digits_kernel, tiles, b.keys(), g, pass, b.counts);
    launch(op, device, running_sum_kernel, {.blocks = 1, .threads = 1024}, b.counts,
           kDigits * g.tiles);
    launch(op, device, move_keys_kernel, tiles, g, pass, b.counts, b.keys(), b.positions(), b.to,
           b.to + b.count);
    std::swap(b.from, b.to);
  }
}

struct SortedIds {
  const uint32_t *keys, *positions;
};

/// Throws InvalidArgument unless `count` addends to `bound` results can be sorted: positions and
/// keys have 32 bits, and one key stands for what is outside.
inline void require_sortable(const char* op, int64_t count, int64_t bound) {
  require(count < INT32_MAX && bound < UINT32_MAX, op,
          "needs fewer than 2^31 addends and 2^32 - 1 results on CUDA, got ", count, " and ",
          bound);
}

/// ids in ascending order, equal ones in the order they stood in. Requires require_sortable().
template <typename Id>
SortedIds sort_ids(const char* op, Cuda device, const SortGeometry& g, const Id* ids, int64_t bound,
                   uint32_t* workspace) {
  SortBuffers buffers(g, workspace);
  launch_packs<1>(op, device, g.count,
                  KeyBody<Id>{ids, bound, buffers.keys(), buffers.positions()});
  sort_keys(op, device, g, buffers);
  return {buffers.keys(), buffers.positions()};
}

}  // namespace trireme::kernels

// A stable sort of whole numbers that leaves the places where each stood: what makes the gradients
// of lookups deterministic. Plain functions for host and device; the kernels are in radix_sort.cuh.
//
// Eight bits of the key a pass, least significant first. A pass cuts the keys into tiles, counts
// each tile's digits, turns the counts into places (all tiles' zeros, then their ones, ...), and
// moves the keys of each tile in order. Knuth, "The art of computer programming", volume 3, 5.2.5.

#pragma once

#include <cstdint>

#include "core/base/host_device.h"

namespace trireme::kernels {

inline constexpr int kDigitBits = 8;
inline constexpr int kDigits = 1 << kDigitBits;
inline constexpr int64_t kTileKeys = 1024;

struct SortGeometry {
  int64_t count, tiles;
  int passes;
};

/// For keys in [0, bound]: `bound` itself stands for numbers outside the table.
inline SortGeometry sort_geometry(int64_t count, int64_t bound) {
  int passes = 1;
  while (bound >> (kDigitBits * passes) > 0) ++passes;
  return {count, (count + kTileKeys - 1) / kTileKeys, passes};
}

TRIREME_HD inline int digit_of(uint32_t key, int pass) {
  return static_cast<int>(key >> (kDigitBits * pass) & (kDigits - 1));
}

/// Ids outside [0, bound) sort behind all others.
template <typename Id>
TRIREME_HD uint32_t key_of(Id id, int64_t bound) {
  return id < 0 || id >= bound ? static_cast<uint32_t>(bound) : static_cast<uint32_t>(id);
}

/// counts and places are [kDigits, tiles]: where a tile's digit stands in both.
TRIREME_HD inline int64_t count_index(int digit, int64_t tile, int64_t tiles) {
  return digit * tiles + tile;
}

/// Moves the keys of one tile, and their positions, behind the tile's places. `Lanes` takes keys
/// size() at a time, in order: place(digit, is_active, next) returns next[digit] plus the number of
/// earlier lanes with this digit, and then advances next[digit] past them all.
template <typename Lanes>
TRIREME_HD void move_tile(const Lanes& lanes, const SortGeometry& g, int pass, int64_t tile,
                          const uint32_t* keys, const uint32_t* positions, uint32_t* next,
                          uint32_t* sorted_keys, uint32_t* sorted_positions) {
  const int64_t begin = tile * kTileKeys;
  const int64_t end = begin + kTileKeys < g.count ? begin + kTileKeys : g.count;
  for (int64_t at = begin; at < end; at += lanes.size()) {
    const int64_t i = at + lanes.rank();
    const bool is_active = i < end;
    const uint32_t key = is_active ? keys[i] : 0;
    const uint32_t place = lanes.place(digit_of(key, pass), is_active, next);
    if (!is_active) continue;
    sorted_keys[place] = key;
    sorted_positions[place] = positions[i];
  }
}

struct SerialLanes {
  TRIREME_HD int rank() const { return 0; }
  TRIREME_HD int size() const { return 1; }
  TRIREME_HD uint32_t place(int digit, bool, uint32_t* next) const { return next[digit]++; }
};

}  // namespace trireme::kernels

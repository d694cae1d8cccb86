// One launch over many arrays: which part of which array a block takes.
//
// The table is the kernel's argument (up to 32 KB, which CUDA 12.1 and later pass), so nothing has
// to be uploaded and a captured graph carries its own copy.

#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "core/base/host_device.h"

namespace trireme::kernels {

/// Elements a block takes: a few packs per thread, so that the end of an array wastes little.
inline constexpr int64_t kChunk = 1 << 14;

/// Span is any struct with a member `count`, the elements of its arrays.
template <typename Span, int kMost>
struct ChunkTable {
  int spans = 0;
  int32_t first_chunk[kMost + 1];  // chunks before each span; [spans] is their number
  Span span[kMost];

  int32_t chunks() const { return first_chunk[spans]; }

  struct Chunk {
    int span;
    int64_t begin, end;  // elements of the span
  };
  TRIREME_HD Chunk chunk(int32_t number) const {
    int low = 0, high = spans;  // the last span whose first chunk is not behind `number`
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (first_chunk[middle] <= number ? low : high) = middle;
    }
    const int64_t begin = static_cast<int64_t>(number - first_chunk[low]) * kChunk;
    const int64_t count = span[low].count;
    return {low, begin, count - begin < kChunk ? count : begin + kChunk};
  }
};

/// Fills `table` with as many of `spans` as fit (empty ones are passed over) and returns the rest.
template <typename Span, int kMost>
std::span<const Span> fill_table(std::span<const Span> spans, ChunkTable<Span, kMost>& table) {
  constexpr int64_t kMostChunks = 1 << 30;
  table.spans = 0;
  table.first_chunk[0] = 0;
  size_t at = 0;
  for (; at < spans.size() && table.spans < kMost; ++at) {
    const int64_t chunks = (spans[at].count + kChunk - 1) / kChunk;
    if (chunks == 0) continue;
    if (table.spans > 0 && table.chunks() + chunks > kMostChunks) break;
    table.span[table.spans] = spans[at];
    table.first_chunk[table.spans + 1] =
        static_cast<int32_t>(table.first_chunk[table.spans] + chunks);
    ++table.spans;
  }
  return spans.subspan(at);
}

}  // namespace trireme::kernels

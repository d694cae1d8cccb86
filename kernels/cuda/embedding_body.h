// The gradient of a table from its rows' sorted numbers: sums over runs of equal keys.
//
// The sorted list is cut into chunks of kRunChunk entries, so that a number that occurs often does
// not wait for one thread. A run inside a chunk goes to the table at once; of a run that crosses
// chunks each chunk leaves a partial sum, and the chunk where it starts adds them up, in order.

#pragma once

#include <cstdint>

#include "kernels/cuda/pack.h"

namespace trireme::kernels {

inline constexpr int64_t kRunChunk = 32;

/// Partial sums of a chunk: of the run that comes in from before, and of the one that goes on.
enum RunEnd { kIncoming = 0, kOutgoing = 1 };

template <typename T>
struct RunSums {
  const uint32_t *keys, *positions;  // sorted
  int64_t count;
  uint32_t bound;  // keys from here on stand for no row
  const T* dy;
  int64_t dy_stride;
  T* dweight;
  int64_t dweight_stride;
  int64_t cols;
  Acc<T>* partials;  // [chunks, 2, cols]

  int64_t chunks() const { return (count + kRunChunk - 1) / kRunChunk; }

  TRIREME_HD Acc<T>* partial(int64_t chunk, RunEnd end, int64_t c) const {
    return partials + (2 * chunk + end) * cols + c;
  }
  TRIREME_HD bool continues(int64_t i) const { return i + 1 < count && keys[i] == keys[i + 1]; }

  /// Columns [c, c + W) of chunk `chunk`.
  template <int W>
  TRIREME_HD void sum_chunk(int64_t chunk, int64_t c) const {
    using A = Acc<T>;
    const int64_t begin = chunk * kRunChunk;
    const int64_t end = begin + kRunChunk < count ? begin + kRunChunk : count;
    bool incoming = begin > 0 && continues(begin - 1);
    A sum[W] = {};
    for (int64_t i = begin; i < end; ++i) {
      const uint32_t key = keys[i];
      if (key >= bound) return;
      A v[W];
      load_values<W>(dy + positions[i] * dy_stride + c, v);
      TRIREME_UNROLL
      for (int k = 0; k < W; ++k) sum[k] += v[k];
      const bool goes_on = continues(i);
      if (goes_on && i + 1 < end) continue;
      if (incoming) {
        store_values<W>(partial(chunk, kIncoming, c), sum);
      } else if (goes_on) {
        store_values<W>(partial(chunk, kOutgoing, c), sum);
      } else {
        store_values<W>(dweight + key * dweight_stride + c, sum);
      }
      incoming = false;
      TRIREME_UNROLL
      for (int k = 0; k < W; ++k) sum[k] = 0;
    }
  }

  /// Whether a run starts in this chunk and goes on behind it.
  TRIREME_HD bool starts_run(int64_t chunk) const {
    const int64_t begin = chunk * kRunChunk, last = begin + kRunChunk - 1;
    if (last >= count || !continues(last) || keys[last] >= bound) return false;
    return begin == 0 || keys[begin - 1] != keys[last];
  }

  /// Adds the run's partial sums. Requires starts_run(chunk).
  template <int W>
  TRIREME_HD void finish_run(int64_t chunk, int64_t c) const {
    using A = Acc<T>;
    const uint32_t key = keys[chunk * kRunChunk + kRunChunk - 1];
    A sum[W];
    load_values<W>(partial(chunk, kOutgoing, c), sum);
    for (int64_t next = chunk + 1; next * kRunChunk < count && keys[next * kRunChunk] == key;
         ++next) {
      A v[W];
      load_values<W>(partial(next, kIncoming, c), v);
      TRIREME_UNROLL
      for (int k = 0; k < W; ++k) sum[k] += v[k];
    }
    store_values<W>(dweight + key * dweight_stride + c, sum);
  }
};

}  // namespace trireme::kernels

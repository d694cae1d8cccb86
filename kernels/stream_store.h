// Output that no cache will hold until it is read: written past the caches.
//
// An ordinary store first reads the line that it overwrites, so an array larger than the last-level
// cache costs twice its bytes to write. Rows and blocks of such an array are computed in a buffer
// that stays in the first-level cache and leave it by streaming stores, which only write: two
// threads of a Zen 4 copy 48 GB/s that way and 32 GB/s with ordinary stores (read plus written).
// Elsewhere than on x86 the buffer is copied.

#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "kernels/rows.h"
#include "kernels/scratch.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// What is larger is streamed whatever the caches: one that others share keeps no more of it.
inline constexpr int64_t kStreamedFrom = int64_t{64} << 20;

/// Is an array of so many bytes too large for the last-level cache?
inline bool past_cache(int64_t bytes) {
  static const int64_t cache = ::sysconf(_SC_LEVEL3_CACHE_SIZE);
  return bytes > kStreamedFrom || (cache > 0 && bytes > cache);
}

/// Copies n elements; `to` lies outside the caches afterwards. Behind the last call a thread needs
/// stream_fence, or other threads may see the memory as it was.
template <typename T>
inline void stream_row(T* to, const T* from, int64_t n) {
  int64_t i = 0;
#if defined(__AVX2__)
  constexpr int64_t kStep = 32 / static_cast<int64_t>(sizeof(T));
  if (reinterpret_cast<uintptr_t>(to) % 32 == 0) {
    for (; i + kStep <= n; i += kStep) {
      _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i),
                          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i)));
    }
  }
#endif
  std::memcpy(to + i, from + i, static_cast<size_t>(n - i) * sizeof(T));
}
inline void stream_fence() {
#if defined(__AVX2__)
  _mm_sfence();
#endif
}

/// each_row for kernels that write y row by row: fn(r, to) writes row r to `to`, which is the row
/// itself or a buffer that is streamed into it. fn must not use Scratch::kOutput.
template <typename T, typename Fn>
void each_row_into(MatrixView<T> y, const Fn& fn) {
  const bool past = past_cache(y.rows * y.cols * static_cast<int64_t>(sizeof(T)));
  if (!past) return each_row(y.rows, y.cols, [&](int64_t r) { fn(r, y.row(r)); });
  parallel_for(y.rows, 1, [&](int64_t begin, int64_t end) {
    T* buffer = scratch<T>(Scratch::kOutput, y.cols);
    for (int64_t r = begin; r < end; ++r) {
      fn(r, buffer);
      stream_row(y.row(r), buffer, y.cols);
    }
    stream_fence();
  });
}

}  // namespace trireme::kernels

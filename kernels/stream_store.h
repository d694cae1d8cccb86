// Output that no cache will hold until it is read: written past the caches.
//
// An ordinary store first reads the line that it overwrites, so an array larger than the last-level
// cache costs twice its bytes to write. Rows and blocks of such an array are computed in a buffer
// that stays in the second-level cache and leave it by streaming stores, which only write: two
// threads of a Zen 4 copy 84 to 101 GB/s that way and 55 to 67 GB/s with ordinary stores (read plus
// written, huge pages). Only on x86 with AVX2.

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
/// Longer rows do not stay in the cache until they are streamed.
inline constexpr int64_t kMostOfStreamedRow = int64_t{256} << 10;

/// Is an array of so many bytes too large for the last-level cache, and can it be streamed?
inline bool past_cache([[maybe_unused]] int64_t bytes) {
#if defined(__AVX2__)
#if defined(_SC_LEVEL3_CACHE_SIZE)
  static const int64_t cache = ::sysconf(_SC_LEVEL3_CACHE_SIZE);
  if (cache > 0 && bytes > cache) return true;
#endif
  return bytes > kStreamedFrom;
#else
  return false;
#endif
}
/// The same of a matrix that is written row by row.
template <typename T>
bool rows_past_cache(int64_t rows, int64_t cols) {
  const int64_t row = cols * static_cast<int64_t>(sizeof(T));
  return row <= kMostOfStreamedRow && past_cache(rows * row);
}

/// Copies n elements; `to` lies outside the caches afterwards, but for its ends. Behind the last
/// call a thread needs stream_fence, or other threads may see the memory as it was.
template <typename T>
inline void stream_row(T* to, const T* from, int64_t n) {
  int64_t i = 0;
#if defined(__AVX2__)
  constexpr int64_t kStep = 32 / static_cast<int64_t>(sizeof(T));
  i = static_cast<int64_t>(-reinterpret_cast<uintptr_t>(to) % 32 / sizeof(T));
  i = std::min(n, i);
  std::memcpy(to, from, static_cast<size_t>(i) * sizeof(T));
  for (; i + kStep <= n; i += kStep) {
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i),
                        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i)));
  }
#endif
  std::memcpy(to + i, from + i, static_cast<size_t>(n - i) * sizeof(T));
}
inline void stream_fence() {
#if defined(__AVX2__)
  _mm_sfence();
#endif
}

/// Where one thread writes rows of a matrix: the row itself, or where `streams`, a buffer that
/// wrote() then streams into the row. Uses Scratch::kOutput.
template <typename T>
class RowOutput {
 public:
  RowOutput(bool streams, int64_t cols)
      : buffer_(streams ? scratch<T>(Scratch::kOutput, cols) : nullptr), cols_(cols) {}
  ~RowOutput() {
    if (buffer_) stream_fence();
  }
  RowOutput(const RowOutput&) = delete;
  RowOutput& operator=(const RowOutput&) = delete;

  T* place_for(T* row) const { return buffer_ ? buffer_ : row; }
  void wrote(T* row) const {
    if (buffer_) stream_row(row, buffer_, cols_);
  }

 private:
  T* buffer_;
  int64_t cols_;
};

/// each_row for kernels that write y row by row: fn(r, to) writes row r to `to`.
template <typename T, typename Fn>
void each_row_into(MatrixView<T> y, const Fn& fn) {
  const bool streams = rows_past_cache<T>(y.rows, y.cols);
  parallel_for(y.rows, std::max<int64_t>(1, kSerialElements / std::max<int64_t>(1, y.cols)),
               [&](int64_t begin, int64_t end) {
                 const RowOutput<T> output(streams, y.cols);
                 for (int64_t r = begin; r < end; ++r) {
                   fn(r, output.place_for(y.row(r)));
                   output.wrote(y.row(r));
                 }
               });
}

}  // namespace trireme::kernels

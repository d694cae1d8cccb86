// The loops of pointwise kernels, for the .cc files that instantiate them.
//
// A functor contributes one function over dense blocks (the vectorised loop). Strided operands are
// gathered block by block into buffers of the first-level cache, so broadcasting and transposition
// are written once and not once per functor.

#pragma once

#include <algorithm>

#include "kernels/half_rows.h"
#include "kernels/pointwise.h"
#include "kernels/pointwise_lanes.h"
#include "kernels/stream_store.h"
#include "kernels/strided_loop.h"

namespace trireme::kernels::detail {

/// Elements of a gather buffer: 4 KiB of f64 per operand.
inline constexpr int64_t kGatherBlock = 512;

/// out[i] = fn(in[0][i], ...) for n dense elements. Never inlined: GCC leaves the functor's calls
/// in a copy of the loop inside a parallel region, and the loop there stays scalar.
template <typename T>
using DenseBlock = void (*)(const void* fn, const T* const* in, T* out, int64_t n);

template <typename Fn, typename T, size_t N>
[[gnu::noinline]] void dense_block(const void* erased, const T* const* in, T* out, int64_t n) {
  const Fn fn = *static_cast<const Fn*>(erased);
  if constexpr (kHasLanes<Fn, T>) {
    each_vector<T>(n, [&](int64_t i, auto part) {
      if constexpr (N == 1) {
        part.store(out + i, lanes_of(fn, part.load(in[0] + i)));
      } else {
        part.store(out + i, lanes_of(fn, part.load(in[0] + i), part.load(in[1] + i)));
      }
    });
    // ivdep: an operand may be `out` itself, never a shifted part of it.
  } else if constexpr (N == 1) {
    const T* a = in[0];
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) out[i] = fn(a[i]);
  } else if constexpr (N == 2) {
    const T *a = in[0], *b = in[1];
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) out[i] = fn(a[i], b[i]);
  } else {
    const T *a = in[0], *b = in[1], *c = in[2];
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) out[i] = fn(a[i], b[i], c[i]);
  }
}

/// The same for 16-bit elements: blocks of them pass through the loop of f32, so that a functor is
/// compiled for f32 only and conversions are whole vectors.
template <typename Fn, typename T, size_t N>
void widened_block(const void* fn, const T* const* in, T* out, int64_t n) {
  alignas(64) float wide[N][kGatherBlock], result[kGatherBlock];
  const float* from[N];
  for (size_t k = 0; k < N; ++k) from[k] = wide[k];
  for (int64_t done = 0; done < n; done += kGatherBlock) {
    const int64_t step = std::min(n - done, kGatherBlock);
    for (size_t k = 0; k < N; ++k) convert_row(wide[k], in[k] + done, step);
    dense_block<Fn, float, N>(fn, from, result, step);
    convert_row(out + done, result, step);
  }
}

template <typename Fn, typename T, size_t N>
constexpr DenseBlock<T> block_of() {
  if constexpr (is_half<T> && !kHasLanes<Fn, T>) {
    return widened_block<Fn, T, N>;
  } else {
    return dense_block<Fn, T, N>;
  }
}

template <typename T, size_t N>
void run_strided(DenseBlock<T> block, const void* fn, const Shape& shape,
                 const std::array<const T*, N>& in, const std::array<const Strides*, N>& strides,
                 T* y) {
  const Strides y_strides = contiguous_strides(shape);
  const Strides* all[N + 1] = {&y_strides};
  std::copy(strides.begin(), strides.end(), all + 1);
  const auto loop = plan_loop<N + 1>(shape, all);
  parallel_walk(loop, [&](const int64_t(&offset)[N + 1], int64_t n) {
    alignas(64) T buffer[N][kGatherBlock];
    const T* at[N];
    for (size_t k = 0; k < N; ++k) {
      at[k] = in[k] + offset[k + 1];
      if (loop.inner_stride(k + 1) == 0) std::fill_n(buffer[k], std::min(n, kGatherBlock), *at[k]);
    }
    for (int64_t done = 0; done < n;) {
      const int64_t step = std::min(n - done, kGatherBlock);
      const T* dense[N];
      for (size_t k = 0; k < N; ++k) {
        const int64_t stride = loop.inner_stride(k + 1);
        dense[k] = stride == 1 ? at[k] + done : buffer[k];
        if (stride > 1) {
          const T* from = at[k] + done * stride;
          for (int64_t i = 0; i < step; ++i) buffer[k][i] = from[i * stride];
        }
      }
      block(fn, dense, y + offset[0] + done, step);
      done += step;
    }
  });
}

/// `block` over n elements by way of a buffer that is streamed into y. No operand is y.
template <typename T, size_t N>
void stream_blocks(DenseBlock<T> block, const void* fn, std::array<const T*, N> in, T* y,
                   int64_t n) {
  alignas(64) T buffer[kGatherBlock];
  // The first block ends where y is aligned.
  const int64_t ahead = static_cast<int64_t>(-reinterpret_cast<uintptr_t>(y) % 64 / sizeof(T));
  for (int64_t done = 0; done < n;) {
    const int64_t step = std::min(n - done, done == 0 && ahead > 0 ? ahead : kGatherBlock);
    block(fn, in.data(), buffer, step);
    stream_row(y + done, buffer, step);
    for (const T*& p : in) p += step;
    done += step;
  }
  stream_fence();
}

}  // namespace trireme::kernels::detail

namespace trireme::kernels {

template <typename Fn, typename T, size_t N>
void map(Cpu, const Fn& fn, const std::array<const T*, N>& in, T* y, int64_t count) {
  const auto block = detail::block_of<Fn, T, N>();
  const bool streams = past_cache(count * static_cast<int64_t>(sizeof(T))) &&
                       std::find(in.begin(), in.end(), y) == in.end();
  parallel_for(count, kPointwiseGrain, [&](int64_t begin, int64_t end) {
    std::array<const T*, N> from = in;
    for (const T*& p : from) p += begin;
    if (streams) return detail::stream_blocks<T, N>(block, &fn, from, y + begin, end - begin);
    block(&fn, from.data(), y + begin, end - begin);
  });
}

template <typename Fn, typename T, size_t N>
void map_strided(Cpu, const Fn& fn, const Shape& shape, const std::array<const T*, N>& in,
                 const std::array<const Strides*, N>& strides, T* y) {
  detail::run_strided<T, N>(detail::block_of<Fn, T, N>(), &fn, shape, in, strides, y);
}

/// Instantiates both forms of a functor of N operands for every floating type.
#define TRIREME_INSTANTIATE_FLOATING_MAP(Fn, N) \
  TRIREME_INSTANTIATE_MAP(Fn, float, N)         \
  TRIREME_INSTANTIATE_MAP(Fn, double, N)        \
  TRIREME_INSTANTIATE_MAP(Fn, BFloat16, N)      \
  TRIREME_INSTANTIATE_MAP(Fn, Float16, N)
/// The same for one type.
#define TRIREME_INSTANTIATE_MAP(Fn, T, N)                                                 \
  template void map(Cpu, const Fn&, const std::array<const T*, N>&, T*, int64_t);         \
  template void map_strided(Cpu, const Fn&, const Shape&, const std::array<const T*, N>&, \
                            const std::array<const Strides*, N>&, T*);

}  // namespace trireme::kernels

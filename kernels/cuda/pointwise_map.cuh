// map and map_strided for the .cu files that instantiate them.
//
// Dense operands: a thread takes 16 bytes of each operand a step, or one element where a pointer is
// not aligned for that, or f64 (tests). Strided ones: the same where the innermost dimension is
// dense or repeated in every operand, which a bias or a broadcast row is; else one element a step,
// its offsets computed from its index (cuda/strided.h). Each operand is read once and y written
// once: expected 90 % of 4.3 TB/s on an H200, but for functors of several transcendental functions.

#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/pointwise_body.h"
#include "kernels/cuda/row_geometry.h"
#include "kernels/pointwise.h"

namespace trireme::kernels {

/// Operands of a gradient seldom broadcast: packs of strided ones are not worth their kernels
/// there.
template <typename Fn>
inline constexpr bool kStridedInPacks = true;
template <typename Fn>
inline constexpr bool kStridedInPacks<GradOf<Fn>> = false;

template <typename T, size_t N>
bool all_packed(const std::array<const T*, N>& in, const T* y) {
  constexpr int64_t kBytes = int64_t{kRowPack<T>} * static_cast<int64_t>(sizeof(T));
  bool packed = is_aligned(y, kBytes);
  for (const T* p : in) packed = packed && is_aligned(p, kBytes);
  return packed;
}

template <typename T, size_t N>
Operands<T, N> operands(const std::array<const T*, N>& in) {
  Operands<T, N> all;
  for (size_t k = 0; k < N; ++k) all.at[k] = in[k];
  return all;
}

template <typename Fn, typename T, size_t N>
void map(Cuda device, const Fn& fn, const std::array<const T*, N>& in, T* y, int64_t count) {
  const DenseBody<Fn, T, N> body{fn, operands(in), y};
  if constexpr (kRowPack < T >> 1) {
    if (all_packed(in, y)) return launch_packs<kRowPack<T>>(Fn::kName, device, count, body);
  }
  launch_packs<1>(Fn::kName, device, count, body);
}

template <typename Fn, typename T, size_t N>
void map_strided(Cuda device, const Fn& fn, const Shape& shape, const std::array<const T*, N>& in,
                 const std::array<const Strides*, N>& strides, T* y) {
  if (shape.product() == 0) return;
  const Strides y_strides = contiguous_strides(shape);
  const Strides* all[N + 1] = {&y_strides};
  std::copy(strides.begin(), strides.end(), all + 1);
  const auto loop = plan_loop<N + 1>(shape, all);
  StridedBody<Fn, T, N> body{fn, operands(in), y, StridedIndex<N + 1>(loop), {}};
  // Operands of one functor seldom all broadcast: where there is one, packs are not worth a kernel.
  if constexpr (kRowPack < T >> 1 && N == 2) {
    if (all_packed(in, y) && moves_in_packs(loop, kRowPack<T>)) {
      for (size_t k = 0; k < N; ++k) body.is_repeated[k] = loop.inner_stride(k + 1) == 0;
      return launch_packs<kRowPack<T>>(Fn::kName, device, loop.count, body);
    }
  }
  launch_packs<1>(Fn::kName, device, loop.count, body);
}

/// Instantiates both forms of a functor of N operands.
#define TRIREME_INSTANTIATE_MAP(Fn, T, N)                                                  \
  template void map(Cuda, const Fn&, const std::array<const T*, N>&, T*, int64_t);         \
  template void map_strided(Cuda, const Fn&, const Shape&, const std::array<const T*, N>&, \
                            const std::array<const Strides*, N>&, T*);
#define TRIREME_INSTANTIATE_FLOATING(Fn, N) \
  TRIREME_INSTANTIATE_MAP(Fn, double, N)    \
  TRIREME_INSTANTIATE_MAP(Fn, float, N)     \
  TRIREME_INSTANTIATE_MAP(Fn, BFloat16, N)  \
  TRIREME_INSTANTIATE_MAP(Fn, Float16, N)

}  // namespace trireme::kernels

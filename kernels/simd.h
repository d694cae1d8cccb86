// Short vectors for CPU kernels: as wide as the target has registers, one text for every width.
//
// Vec<T> is the compiler's own vector type, so + - * / and comparisons are plain operators and
// a * b + c becomes a fused multiply-add. Rows whose length is not a multiple of the width end in
// a partial load or store. Elements of 16 bits widen to f32 as they are loaded and are rounded as
// they are stored, so that a kernel is one text for all of them.

#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/exp_avx512.h"
#include "kernels/half_vector.h"
#include "kernels/vec.h"
#include "kernels/vector_math.h"

namespace trireme::kernels {

template <typename T>
inline Vec<T> broadcast(T value) {
  // Not Vec{} + value: that turns -0 into 0, so it is an addition, where this is one load.
  return value - Vec<T>{};
}
/// kLanes<T> elements from any address.
template <typename T>
inline Vec<T> load(const T* from) {
  if constexpr (is_half<T>) {
    detail::HalfBits bits;
    std::memcpy(&bits, from, sizeof bits);
    return detail::widen<T>(bits);
  } else {
    Vec<T> v;
    std::memcpy(&v, from, sizeof v);
    return v;
  }
}
template <typename T>
inline void store(T* to, Vec<T> v) {
  if constexpr (is_half<T>) {
    const detail::HalfBits bits = detail::round<T>(v);
    std::memcpy(to, &bits, sizeof bits);
  } else {
    std::memcpy(to, &v, sizeof v);
  }
}

/// How each_vector hands out a full vector ...
struct WholeVector {
  template <typename T>
  Vec<T> load(const T* from, Acc<T> /*fill*/ = 0) const {
    return kernels::load(from);
  }
  template <typename T>
  void store(T* to, Vec<T> v) const {
    kernels::store(to, v);
  }
};
/// ... and the last, shorter one: lanes from `count` on read as `fill` and are not written.
struct PartVector {
  int64_t count;

  template <typename T>
  Vec<T> load(const T* from, Acc<T> fill = 0) const {
    Vec<T> v = broadcast(fill);
    if constexpr (is_half<T>) {
      detail::HalfBits bits = {};
      std::memcpy(&bits, from, static_cast<size_t>(count) * sizeof(T));
      const Vec<T> wide = detail::widen<T>(bits);
      std::memcpy(&v, &wide, static_cast<size_t>(count) * sizeof(float));
    } else {
      std::memcpy(&v, from, static_cast<size_t>(count) * sizeof(T));
    }
    return v;
  }
  template <typename T>
  void store(T* to, Vec<T> v) const {
    if constexpr (is_half<T>) {
      const detail::HalfBits bits = detail::round<T>(v);
      std::memcpy(to, &bits, static_cast<size_t>(count) * sizeof(T));
    } else {
      std::memcpy(to, &v, static_cast<size_t>(count) * sizeof(T));
    }
  }
};

/// Calls fn(i, part) for i = 0, kLanes, 2 kLanes, ... below n, where `part` loads and stores the
/// vector at i.
template <typename T, typename Fn>
inline void each_vector(int64_t n, const Fn& fn) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) fn(i, WholeVector{});
  if (i < n) fn(i, PartVector{n - i});
}

/// The larger of each pair; NaN where a is NaN.
template <typename V>
inline V max_of(V a, V b) {
  return a < b ? b : a;
}
namespace detail {
template <size_t Step, typename V, size_t... I>
inline V add_across(V v, std::index_sequence<I...>) {
  v += __builtin_shufflevector(v, v, (I ^ Step)...);
  if constexpr (Step == 1) {
    return v;
  } else {
    return add_across<Step / 2>(v, std::index_sequence<I...>());
  }
}
}  // namespace detail
/// By halves: in a chain each addition would wait for the one before.
template <typename T>
inline Acc<T> sum_of_lanes(Vec<T> v) {
  return detail::add_across<kLanes<T> / 2>(v, std::make_index_sequence<kLanes<T>>())[0];
}
template <typename T>
inline Acc<T> max_of_lanes(Vec<T> v) {
  Acc<T> most = v[0];
  for (int64_t i = 1; i < kLanes<T>; ++i) most = max_of<Acc<T>>(v[i], most);
  return most;
}

/// e^x in each lane, for x from which a row's largest or the logarithm of its sum was taken away:
/// of +infinity it makes NaN. vmath::exp, and with AVX-512 a third of its instructions.
template <typename T>
inline Vec<T> exp_of(Vec<T> x) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<Acc<T>, float>) return detail::exp_avx512(x);
#endif
  alignas(kVecBytes) Acc<T> lanes[kLanes<T>];
  std::memcpy(lanes, &x, sizeof x);
  for (Acc<T>& lane : lanes) lane = vmath::exp(lane);
  std::memcpy(&x, lanes, sizeof x);
  return x;
}

}  // namespace trireme::kernels

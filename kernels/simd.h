// Short vectors for CPU kernels: as wide as the target has registers, one text for every width.
//
// Vec<T> is the compiler's own vector type, so + - * / and comparisons are plain operators and
// a * b + c becomes a fused multiply-add. Rows whose length is not a multiple of the width end in
// a partial load or store.

#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/vector_math.h"

namespace trireme::kernels {

#if defined(__AVX512F__)
inline constexpr int kVecBytes = 64;
#elif defined(__AVX__)
inline constexpr int kVecBytes = 32;
#else
inline constexpr int kVecBytes = 16;
#endif

namespace detail {
template <typename T>
struct VecOf {
  typedef T type __attribute__((vector_size(kVecBytes)));
};
}  // namespace detail

template <typename T>
using Vec = typename detail::VecOf<T>::type;
/// Elements of a Vec<T>.
template <typename T>
inline constexpr int64_t kLanes = kVecBytes / sizeof(T);

template <typename T>
inline Vec<T> broadcast(T value) {
  // Not Vec{} + value: that turns -0 into 0, so it is an addition, where this is one load.
  return value - Vec<T>{};
}
/// kLanes<T> elements from any address.
template <typename T>
inline Vec<T> load(const T* from) {
  Vec<T> v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
template <typename T>
inline void store(T* to, Vec<T> v) {
  std::memcpy(to, &v, sizeof v);
}

/// How each_vector hands out a full vector ...
struct WholeVector {
  template <typename T>
  Vec<T> load(const T* from, T /*fill*/ = 0) const {
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
  Vec<T> load(const T* from, T fill = 0) const {
    Vec<T> v = broadcast(fill);
    std::memcpy(&v, from, static_cast<size_t>(count) * sizeof(T));
    return v;
  }
  template <typename T>
  void store(T* to, Vec<T> v) const {
    std::memcpy(to, &v, static_cast<size_t>(count) * sizeof(T));
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
template <typename T>
inline T sum_of_lanes(Vec<T> v) {
  T sum = 0;
  for (int64_t i = 0; i < kLanes<T>; ++i) sum += v[i];
  return sum;
}
template <typename T>
inline T max_of_lanes(Vec<T> v) {
  T most = v[0];
  for (int64_t i = 1; i < kLanes<T>; ++i) most = max_of(v[i], most);
  return most;
}

/// e^x in each lane.
template <typename T>
inline Vec<T> exp_of(Vec<T> x) {
  alignas(kVecBytes) T lanes[kLanes<T>];
  std::memcpy(lanes, &x, sizeof x);
  for (T& lane : lanes) lane = vmath::exp(lane);
  std::memcpy(&x, lanes, sizeof x);
  return x;
}

}  // namespace trireme::kernels

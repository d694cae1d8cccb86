// Rows of 16-bit floats to and from f32, and where a kernel keeps what it must round once only.

#pragma once

#include "kernels/scratch.h"
#include "kernels/simd.h"

namespace trireme::kernels {

/// to[i] = from[i] for n dense elements, where either type is computed with in f32. from and to may
/// be the same memory if the types are.
template <typename To, typename From>
inline void convert_row(To* to, const From* from, int64_t n) {
  static_assert(std::is_same_v<Acc<To>, Acc<From>>);
  each_vector<To>(n, [&](int64_t i, auto part) { part.store(to + i, part.load(from + i)); });
}

/// n results that are not final yet: `y` itself, or for 16-bit elements as many f32 of the calling
/// thread's slot. finish_row rounds them into y.
template <typename T>
inline Acc<T>* unfinished_row(Scratch slot, T* y, int64_t n) {
  if constexpr (is_half<T>) {
    return scratch<float>(slot, n);
  } else {
    return y;
  }
}
template <typename T>
inline void finish_row(const Acc<T>* row, T* y, int64_t n) {
  if constexpr (is_half<T>) convert_row(y, row, n);
}

}  // namespace trireme::kernels

// Vec<T>: the compiler's own vector type, as wide as the target's registers. Elements of 16 bits
// are computed with in f32, so theirs is the vector of f32.

#pragma once

#include <cstdint>

#include "core/base/half.h"

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
using Vec = typename detail::VecOf<Acc<T>>::type;
/// Elements of a Vec<T>.
template <typename T>
inline constexpr int64_t kLanes = kVecBytes / sizeof(Acc<T>);

}  // namespace trireme::kernels

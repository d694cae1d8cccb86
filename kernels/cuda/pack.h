// W neighbouring elements as one load or store: 16 bytes where memory is aligned, W = 1 elsewhere.
//
// Device code and the tests on the host share this text. Values are widened to Acc<T> for
// arithmetic and rounded once when they are written.

#pragma once

#include <cstdint>
#include <type_traits>

#include "core/base/half.h"
#include "core/base/host_device.h"
#include "kernels/cuda/grid.h"

#ifdef __CUDA_ARCH__
#define TRIREME_UNROLL _Pragma("unroll")
#define TRIREME_UNROLL_BY(n) TRIREME_PRAGMA(unroll n)
#define TRIREME_PRAGMA(text) _Pragma(#text)
#else
#define TRIREME_UNROLL
#define TRIREME_UNROLL_BY(n)
#endif

namespace trireme::kernels {

/// Reads W elements. Requires `from` aligned to the whole pack, or to 16 bytes where that is more.
template <int W, typename T>
TRIREME_HD inline Pack<std::remove_const_t<T>, W> load_pack(const T* from) {
  if constexpr (W > kPack<T> && W > 1) {
    Pack<T, W> pack;
    TRIREME_UNROLL
    for (int i = 0; i < W; i += kPack<T>) {
      const auto part = Pack<T, kPack<T>>::load(from + i);
      TRIREME_UNROLL
      for (int k = 0; k < kPack<T>; ++k) pack.v[i + k] = part.v[k];
    }
    return pack;
  } else {
    return Pack<T, W>::load(from);
  }
}

/// Writes W elements, with the same requirement.
template <typename T, int W>
TRIREME_HD inline void store_pack(T* to, const Pack<T, W>& pack) {
  if constexpr (W > kPack<T> && W > 1) {
    TRIREME_UNROLL
    for (int i = 0; i < W; i += kPack<T>) {
      Pack<T, kPack<T>> part;
      TRIREME_UNROLL
      for (int k = 0; k < kPack<T>; ++k) part.v[k] = pack.v[i + k];
      part.store(to + i);
    }
  } else {
    pack.store(to);
  }
}

/// The words of a pack of 16-bit elements, the first element in the low half.
template <int W>
struct PackWords {
  uint32_t word[W / 2];
};

/// values[i] = pack[i], widened.
template <typename T, int W>
TRIREME_HD inline void widen(const Pack<T, W>& pack, Acc<T> (&values)[W]) {
  if constexpr (std::is_same_v<T, BFloat16> && W % 2 == 0) {
    // An instruction per element, where halves of words that are taken apart first need two.
    const auto words = __builtin_bit_cast(PackWords<W>, pack);
    TRIREME_UNROLL
    for (int i = 0; i < W; i += 2) {
      values[i] = __builtin_bit_cast(float, words.word[i / 2] << 16);
      values[i + 1] = __builtin_bit_cast(float, words.word[i / 2] & 0xFFFF0000u);
    }
  } else {
    TRIREME_UNROLL
    for (int i = 0; i < W; ++i) values[i] = static_cast<Acc<T>>(pack.v[i]);
  }
}

/// Two values rounded by one instruction, the first in the low half: three times as fast as one by
/// one.
template <typename T>
TRIREME_HD inline uint32_t round_pair(float low, float high) {
#ifdef __CUDA_ARCH__
  uint32_t word;
  if constexpr (std::is_same_v<T, BFloat16>) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  } else {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  }
  return word;
#else
  return uint32_t{T(low).bits} | uint32_t{T(high).bits} << 16;
#endif
}

/// The pack of `values`, each rounded to T.
template <typename T, int W>
TRIREME_HD inline Pack<T, W> narrow(const Acc<T> (&values)[W]) {
  if constexpr (is_half<T> && W % 2 == 0) {
    PackWords<W> words;
    TRIREME_UNROLL
    for (int i = 0; i < W; i += 2) words.word[i / 2] = round_pair<T>(values[i], values[i + 1]);
    return __builtin_bit_cast(Pack<T, W>, words);
  } else {
    Pack<T, W> pack;
    TRIREME_UNROLL
    for (int i = 0; i < W; ++i) pack.v[i] = static_cast<T>(values[i]);
    return pack;
  }
}

/// load_pack and widen; store_pack of narrow.
template <int W, typename T>
TRIREME_HD inline void load_values(const T* from, Acc<T> (&values)[W]) {
  widen(load_pack<W>(from), values);
}
template <int W, typename T>
TRIREME_HD inline void store_values(T* to, const Acc<T> (&values)[W]) {
  store_pack(to, narrow<T, W>(values));
}

/// Whether every one of the pointers may be read in packs of W of its elements. Null may.
template <int W, typename... T>
bool are_packed(const T*... pointers) {
  return (is_aligned(pointers, static_cast<int64_t>(sizeof(T)) * W) && ...);
}

}  // namespace trireme::kernels

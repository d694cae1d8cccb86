// A pack that waits in registers for its use. Elements of 16 bits stay in pairs, as they came from
// memory: as values of their own each would take a register, and instructions to part and to join
// them.

#pragma once

#include "kernels/cuda/pack.h"

namespace trireme::kernels {

/// W elements of 16 bits, two to a word, the first in the low half.
template <typename T, int W>
struct Pairs {
  static_assert(is_half<T> && W % 2 == 0);
  Pack<uint32_t, W / 2> words;
};

template <typename T, int W>
using HeldPack = std::conditional_t<is_half<T> && W % 2 == 0, Pairs<T, W>, Pack<T, W>>;

/// Reads W elements, with load_pack's requirement.
template <int W, typename T>
TRIREME_HD inline HeldPack<std::remove_const_t<T>, W> load_held(const T* from) {
  if constexpr (is_half<T> && W % 2 == 0) {
    return {Pack<uint32_t, W / 2>::load(reinterpret_cast<const uint32_t*>(from))};
  } else {
    return load_pack<W>(from);
  }
}

template <typename T, int W>
TRIREME_HD inline void store_held(T* to, const Pack<T, W>& pack) {
  store_pack(to, pack);
}
template <typename T, int W>
TRIREME_HD inline void store_held(T* to, const Pairs<T, W>& pairs) {
  pairs.words.store(reinterpret_cast<uint32_t*>(to));
}

/// values[i] = pairs[i], widened.
template <typename T, int W>
TRIREME_HD inline void widen(const Pairs<T, W>& pairs, float (&values)[W]) {
  TRIREME_UNROLL
  for (int i = 0; i < W; i += 2) {
    const uint32_t word = pairs.words.v[i / 2];
    if constexpr (std::is_same_v<T, BFloat16>) {
      values[i] = __builtin_bit_cast(float, word << 16);
      values[i + 1] = __builtin_bit_cast(float, word & 0xFFFF0000u);
    } else {
      values[i] = T::from_bits(static_cast<uint16_t>(word));
      values[i + 1] = T::from_bits(static_cast<uint16_t>(word >> 16));
    }
  }
}

/// The pack of `values`, each rounded to T.
template <typename T, int W>
TRIREME_HD inline HeldPack<T, W> narrow_held(const Acc<T> (&values)[W]) {
  if constexpr (is_half<T> && W % 2 == 0) {
    HeldPack<T, W> pairs;
    TRIREME_UNROLL
    for (int i = 0; i < W; i += 2) {
      pairs.words.v[i / 2] = round_pair<T>(values[i], values[i + 1]);
    }
    return pairs;
  } else {
    return narrow<T, W>(values);
  }
}

/// The compiler takes `pairs` for new from here on. It would keep what it has widened, in twice the
/// registers, where widening again is one instruction.
template <typename T, int W>
TRIREME_HD inline void renew([[maybe_unused]] Pairs<T, W>& pairs) {
#ifdef __CUDA_ARCH__
  TRIREME_UNROLL
  for (uint32_t& word : pairs.words.v) asm volatile("" : "+r"(word));
#endif
}
template <typename T, int W>
TRIREME_HD inline void renew(Pack<T, W>&) {}

}  // namespace trireme::kernels

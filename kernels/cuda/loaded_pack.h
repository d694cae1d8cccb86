// A pack between its load and its use.

#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/cuda/pack.h"

namespace trireme::kernels {

/// W elements in as few registers as they have words: 16-bit elements of a Pack, copied about, take
/// a register each.
template <typename T, int W>
class LoadedPack {
 public:
  /// As load_pack.
  TRIREME_HD static LoadedPack load(const T* from) {
    LoadedPack pack;
#ifdef __CUDA_ARCH__
    if constexpr (sizeof(T) * W == 16) {
      const uint4 words = *reinterpret_cast<const uint4*>(from);
      pack.words_[0] = words.x;
      pack.words_[1] = words.y;
      pack.words_[2] = words.z;
      pack.words_[3] = words.w;
    } else {
      TRIREME_UNROLL
      for (int i = 0; i < kWords; ++i) pack.words_[i] = reinterpret_cast<const Word*>(from)[i];
    }
#else
    std::memcpy(pack.words_, from, sizeof pack.words_);
#endif
    return pack;
  }
  /// values[i] = the i-th element, widened.
  TRIREME_HD void get(Acc<T> (&values)[W]) const {
    widen(__builtin_bit_cast(Pack<T, W>, *this), values);
  }

 private:
  using Word = std::conditional_t<sizeof(T) * W % 4 == 0, uint32_t, T>;
  static constexpr int kWords = sizeof(T) * W / sizeof(Word);
  Word words_[kWords];
};

}  // namespace trireme::kernels

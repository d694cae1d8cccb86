// How many blocks a grid-stride kernel gets, and which elements each of its threads takes: plain
// arithmetic, so that CPU tests run the same text.
//
// Elements are taken in packs of N, one per step of a thread, neighbouring threads neighbouring
// packs: a warp then reads or writes 32 packs that lie side by side. What is left behind the last
// full pack is taken one element per thread.

#pragma once

#include <cstdint>
#include <cstring>

#include "core/base/host_device.h"

namespace trireme::kernels {

/// Threads of a block where nothing else decides: enough warps to fill an SM with a few blocks.
inline constexpr int kBlockThreads = 256;

struct Geometry {
  int64_t blocks = 1;
  int threads = kBlockThreads;
  int64_t shared_bytes = 0;
};

/// Blocks for `work_items` threads' worth of work: no more than are resident at once, so that every
/// SM is full and none waits for a second wave. At least one block.
inline Geometry grid_for(int64_t work_items, int threads, int64_t resident_blocks) {
  const int64_t needed = (work_items + threads - 1) / threads;
  const int64_t most = resident_blocks > 0 ? resident_blocks : 1;
  const int64_t blocks = needed < most ? needed : most;
  return {.blocks = blocks > 0 ? blocks : 1, .threads = threads};
}

/// `count` elements taken as packs of N.
inline int64_t work_items_for(int64_t count, int pack) { return (count + pack - 1) / pack; }

/// Most elements that 16 bytes hold: what one load instruction moves.
template <typename T>
inline constexpr int kPack = 16 / sizeof(T);

/// N elements that move as one.
template <typename T, int N>
struct alignas(sizeof(T) * N) Pack {
  T v[N];

  /// Requires `from` (`to`) aligned to the pack, and in global memory.
  TRIREME_HD static Pack load(const T* from) {
#ifdef __CUDA_ARCH__
    return *reinterpret_cast<const Pack*>(from);
#else
    Pack pack;
    std::memcpy(pack.v, from, sizeof pack);
    return pack;
#endif
  }
  TRIREME_HD void store(T* to) const {
#ifdef __CUDA_ARCH__
    // Written out, because the compiler splits most stores of a struct into words.
    if constexpr (sizeof(Pack) == 16) {
      const uint4 w = __builtin_bit_cast(uint4, *this);
      asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(to)),
                   "r"(w.x), "r"(w.y), "r"(w.z), "r"(w.w)
                   : "memory");
    } else if constexpr (sizeof(Pack) == 8 && N > 1) {
      const uint2 w = __builtin_bit_cast(uint2, *this);
      asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(to)), "r"(w.x),
                   "r"(w.y)
                   : "memory");
    } else {
      *reinterpret_cast<Pack*>(to) = *this;
    }
#else
    std::memcpy(to, v, sizeof v);
#endif
  }
};

/// True where `pointer` may be read in packs of `bytes`.
inline bool is_aligned(const void* pointer, int64_t bytes) {
  return reinterpret_cast<uintptr_t>(pointer) % static_cast<uintptr_t>(bytes) == 0;
}

/// What thread `thread` of `threads` does in a kernel over `count` elements: body.run<N>(i) for its
/// full packs, i their first element, and body.run<1>(i) for its part of the rest.
template <int N, typename Body>
TRIREME_HD void run_thread(int64_t thread, int64_t threads, int64_t count, const Body& body) {
  const int64_t packs = count / N;
  for (int64_t p = thread; p < packs; p += threads) body.template run<N>(p * N);
  if constexpr (N > 1) {
    for (int64_t i = packs * N + thread; i < count; i += threads) body.template run<1>(i);
  }
}

}  // namespace trireme::kernels

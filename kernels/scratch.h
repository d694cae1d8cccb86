// Working memory of CPU kernels: one growing block per thread and slot, kept for the next call.

#pragma once

#include <cstdint>

namespace trireme::kernels {

/// Who uses the block: two users that are active at the same time need different slots.
enum class Scratch {
  kGemmPanel,
  kPackedWeights,
  kPartials,
  kScores,
  kBlock,
  kWidened,
  kTotals,
  kOutput
};
inline constexpr int kScratchSlots = 8;

/// At least `bytes` uninitialised bytes, aligned to 64, of the calling thread. Valid until the same
/// thread asks for the same slot again.
void* scratch_bytes(Scratch slot, int64_t bytes);

template <typename T>
T* scratch(Scratch slot, int64_t count) {
  return static_cast<T*>(scratch_bytes(slot, count * static_cast<int64_t>(sizeof(T))));
}

}  // namespace trireme::kernels

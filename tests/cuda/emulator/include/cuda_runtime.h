// Stands in front of CUDA's own header where kernels are compiled by the host's compiler for the
// emulator: what the language gives a kernel, in terms of tests/cuda/emulator/emulator.h.

#pragma once

#include <cuda_runtime_api.h>
#include <vector_functions.h>
#include <vector_types.h>

#include <cstring>

#include "tests/cuda/emulator/emulator.h"

#undef __global__
#undef __device__
#undef __host__
#undef __shared__
#undef __launch_bounds__
#undef __grid_constant__
#define __global__
#define __device__
#define __host__
// Blocks run one after another on one thread of the host, so what a block shares may be static.
#define __shared__ static
#define __launch_bounds__(...)
#define __grid_constant__

#define threadIdx (::trireme::emulator::here().thread)
#define blockIdx (::trireme::emulator::here().block)
#define blockDim (::trireme::emulator::here().block_size)
#define gridDim (::trireme::emulator::here().grid_size)

inline void __syncthreads() { trireme::emulator::sync_block(); }
inline void __syncwarp(unsigned = 0xFFFFFFFFu) { trireme::emulator::sync_warp(); }

namespace trireme::emulator {
/// A value of at most 8 bytes from lane `from` of the same warp.
template <typename V>
V shuffle(V value, int from) {
  static_assert(sizeof(V) <= sizeof(uint64_t));
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(V));
  bits = exchange(bits, from);
  std::memcpy(&value, &bits, sizeof(V));
  return value;
}
}  // namespace trireme::emulator

template <typename V>
V __shfl_sync(unsigned /*members*/, V value, int from) {
  return trireme::emulator::shuffle(value, from);
}
template <typename V>
V __shfl_xor_sync(unsigned /*members*/, V value, int mask) {
  return trireme::emulator::shuffle(value, trireme::emulator::lane() ^ mask);
}
// A thread whose source lies outside of the warp keeps its own value.
template <typename V>
V __shfl_down_sync(unsigned /*members*/, V value, int by) {
  const int from = trireme::emulator::lane() + by;
  return trireme::emulator::shuffle(value, from < 32 ? from : trireme::emulator::lane());
}
template <typename V>
V __shfl_up_sync(unsigned /*members*/, V value, int by) {
  const int from = trireme::emulator::lane() - by;
  return trireme::emulator::shuffle(value, from >= 0 ? from : trireme::emulator::lane());
}
/// Bit l is set if lane l gave the same value.
inline unsigned __match_any_sync(unsigned /*members*/, unsigned value) {
  return trireme::emulator::lanes_with(value);
}
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline int __ffs(unsigned bits) { return __builtin_ffs(static_cast<int>(bits)); }

// One thread of the host at a time: an ordinary read and write is atomic.
template <typename T>
T atomicAdd(T* address, T value) {
  const T old = *address;
  *address = old + value;
  return old;
}
template <typename T>
T atomicCAS(T* address, T expected, T value) {
  const T old = *address;
  if (old == expected) *address = value;
  return old;
}
inline void __threadfence() {}
inline void __threadfence_system() {}

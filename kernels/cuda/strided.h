// Where the elements of strided operands lie, from their index: the device's side of
// strided_loop.h.

#pragma once

#include <cstdint>

#include "core/base/host_device.h"
#include "kernels/cuda/divide.h"
#include "kernels/strided_loop.h"

namespace trireme::kernels {

/// Offsets of N operands, in elements.
template <int N>
struct Offsets {
  int64_t at[N];
  TRIREME_HD int64_t operator[](int k) const { return at[k]; }
};

/// A planned loop as a kernel argument: which element of each operand is the i-th of the loop.
/// Indices below 2^31, nearly all, are divided by multiplication in 32 bits.
template <int N>
class StridedIndex {
 public:
  explicit StridedIndex(const StridedLoop<N>& loop) : rank_(loop.rank), count_(loop.count) {
    for (int d = 0; d < loop.rank; ++d) {
      extent_[d] = loop.extent[d];
      if (count_ > 0 && count_ <= INT32_MAX) {
        divisor_[d] = FastDivisor(static_cast<uint32_t>(loop.extent[d]));
      }
      for (int k = 0; k < N; ++k) stride_[k][d] = loop.stride[k][d];
    }
  }

  TRIREME_HD Offsets<N> at(int64_t i) const {
    return count_ <= INT32_MAX ? offsets_fast(static_cast<uint32_t>(i)) : offsets(i);
  }

 private:
  TRIREME_HD Offsets<N> offsets_fast(uint32_t rest) const {
    Offsets<N> found{};
    for (int d = rank_ - 1; d > 0; --d) {
      const uint32_t quotient = divisor_[d].quotient(rest);
      const auto index = static_cast<int64_t>(rest - quotient * divisor_[d].divisor());
      for (int k = 0; k < N; ++k) found.at[k] += index * stride_[k][d];
      rest = quotient;
    }
    for (int k = 0; k < N; ++k) found.at[k] += static_cast<int64_t>(rest) * stride_[k][0];
    return found;
  }
  TRIREME_HD Offsets<N> offsets(int64_t rest) const {
    Offsets<N> found{};
    for (int d = rank_ - 1; d > 0; --d) {
      const int64_t quotient = rest / extent_[d];
      const int64_t index = rest - quotient * extent_[d];
      for (int k = 0; k < N; ++k) found.at[k] += index * stride_[k][d];
      rest = quotient;
    }
    for (int k = 0; k < N; ++k) found.at[k] += rest * stride_[k][0];
    return found;
  }

  int rank_;
  int64_t count_;
  int64_t extent_[kMaxRank];
  FastDivisor divisor_[kMaxRank];
  int64_t stride_[N][kMaxRank];
};

/// Whether elements [i, i + W) of the loop, i a multiple of W, are neighbours in every operand or
/// one element repeated (inner stride 0), and start at multiples of W elements.
template <int N>
bool moves_in_packs(const StridedLoop<N>& loop, int W) {
  if (loop.inner_extent() % W != 0) return false;
  for (int k = 0; k < N; ++k) {
    if (loop.inner_stride(k) == 0) continue;
    if (loop.inner_stride(k) != 1) return false;
    for (int d = 0; d + 1 < loop.rank; ++d) {
      if (loop.stride[k][d] % W != 0) return false;
    }
  }
  return true;
}

}  // namespace trireme::kernels

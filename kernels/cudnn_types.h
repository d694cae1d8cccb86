// Element types and alignments as cuDNN names them.

#pragma once

#include <cudnn_graph.h>

#include <bit>
#include <cstdint>

#include "core/base/half.h"

namespace trireme::kernels {

template <typename T>
inline constexpr cudnnDataType_t cudnn_type = CUDNN_DATA_FLOAT;
template <>
inline constexpr cudnnDataType_t cudnn_type<double> = CUDNN_DATA_DOUBLE;
template <>
inline constexpr cudnnDataType_t cudnn_type<BFloat16> = CUDNN_DATA_BFLOAT16;
template <>
inline constexpr cudnnDataType_t cudnn_type<Float16> = CUDNN_DATA_HALF;

/// What kernels may count on for the least aligned of these pointers, up to 16 bytes.
template <typename... Pointers>
int64_t common_alignment(const Pointers*... pointers) {
  const uint64_t bits = (16 | ... | reinterpret_cast<uintptr_t>(pointers));
  return int64_t{1} << std::countr_zero(bits);
}

}  // namespace trireme::kernels

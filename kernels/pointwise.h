// Pointwise kernels: y[i] = fn(in[0][i], ..., in[N - 1][i]) for the functors of functors.h.
//
// Each operand is read once and y is written once. Operands must not overlap y, except for being
// exactly y in the dense form. 16-bit elements are computed in f32 and rounded once. Instantiated:
// the unary functors and their GradOf for the floating types, the arithmetic ones for i64 and i32
// too.

#pragma once

#include <array>
#include <cstdint>

#include "core/base/device_tag.h"
#include "core/base/shape.h"
#include "kernels/functors.h"

namespace trireme::kernels {

/// All operands and y dense with `count` elements.
template <typename Fn, typename T, size_t N>
void map(Cpu, const Fn& fn, const std::array<const T*, N>& in, T* y, int64_t count);
template <typename Fn, typename T, size_t N>
void map(Cuda, const Fn& fn, const std::array<const T*, N>& in, T* y, int64_t count);

/// y dense of shape `shape`; operand k is read with *strides[k] (0 where it broadcasts).
template <typename Fn, typename T, size_t N>
void map_strided(Cpu, const Fn& fn, const Shape& shape, const std::array<const T*, N>& in,
                 const std::array<const Strides*, N>& strides, T* y);
template <typename Fn, typename T, size_t N>
void map_strided(Cuda, const Fn& fn, const Shape& shape, const std::array<const T*, N>& in,
                 const std::array<const Strides*, N>& strides, T* y);

}  // namespace trireme::kernels

// Filling, copying and adding strided memory of any dtype.
//
// Contiguous operands take the fast path (memcpy where the dtypes agree); a transposing copy runs
// in square tiles, so that both sides use whole cache lines. Operands must not overlap.

#pragma once

#include "core/base/device_tag.h"
#include "core/base/dtype.h"
#include "core/base/shape.h"

namespace trireme::kernels {

/// Strided elements whose type is known at run time only. Refers to the caller's shape and strides:
/// for passing an argument, not for keeping.
struct AnyView {
  void* data;
  DType dtype;
  const Shape& shape;
  const Strides& strides;
};
struct ConstAnyView {
  const void* data;
  DType dtype;
  const Shape& shape;
  const Strides& strides;
};

/// x[...] = value, converted to x's dtype.
void fill(Cpu, AnyView x, double value);
void fill(Cuda, AnyView x, double value);

/// dst[...] = src[...], converting: float to integer truncates, anything to bool is `!= 0`.
/// Requires src.shape == dst.shape; src may repeat elements with stride 0, dst must not, and may be
/// read backwards with negative strides.
void copy(Cpu, AnyView dst, ConstAnyView src);
void copy(Cuda, AnyView dst, ConstAnyView src);

/// y[...] += alpha * x[...], of equal dtype (not u8, bool) and shape; x may have strides of 0.
/// 16-bit elements are computed in f32 and rounded once.
void add_scaled_inplace(Cpu, AnyView y, ConstAnyView x, double alpha);
void add_scaled_inplace(Cuda, AnyView y, ConstAnyView x, double alpha);

/// y[...] *= alpha, converted to y's dtype (not u8, bool).
void scale_inplace(Cpu, AnyView y, double alpha);
void scale_inplace(Cuda, AnyView y, double alpha);

}  // namespace trireme::kernels

// The dtypes that arithmetic is defined for: f64, f32, bf16, f16, i64 and i32.

#pragma once

#include "core/base/dtype.h"

namespace trireme {

/// Calls fn(TypeTag<T>); u8 and bool are an error that names the op.
template <typename Fn>
decltype(auto) dispatch_arithmetic(const char* op, DType dtype, Fn&& fn) {
  if (dtype == DType::kF32) return fn(TypeTag<float>{});
  if (dtype == DType::kF64) return fn(TypeTag<double>{});
  if (dtype == DType::kBF16) return fn(TypeTag<BFloat16>{});
  if (dtype == DType::kF16) return fn(TypeTag<Float16>{});
  if (dtype == DType::kI64) return fn(TypeTag<int64_t>{});
  if (dtype == DType::kI32) return fn(TypeTag<int32_t>{});
  fail(op, "needs f64, f32, bf16, f16, i64 or i32, got ", name_of(dtype), "; convert with to()");
}

}  // namespace trireme

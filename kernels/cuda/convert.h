// From one element type to another, as copy() defines it, for host and device.

#pragma once

#include <cstdint>
#include <type_traits>

#include "core/base/dtype.h"
#include "core/base/half.h"
#include "core/base/host_device.h"

namespace trireme::kernels {

/// Float to integer truncates; anything to bool is `!= 0`; to a 16-bit float through f32.
template <typename To, typename From>
TRIREME_HD To convert(From value) {
  if constexpr (std::is_same_v<To, bool>) {
    return Acc<From>(value) != Acc<From>(0);
  } else {
    return static_cast<To>(static_cast<Acc<From>>(value));
  }
}

/// Calls fn(TypeTag<To>, TypeTag<From>) and returns true for f32 with a 16-bit float, and for the
/// two 16-bit floats: the pairs worth a kernel each.
template <typename Fn>
bool dispatch_fast_pair(DType to, DType from, const Fn& fn) {
  const auto is = [&](DType a, DType b) { return to == a && from == b; };
  if (is(DType::kF32, DType::kBF16)) return fn(TypeTag<float>{}, TypeTag<BFloat16>{}), true;
  if (is(DType::kF32, DType::kF16)) return fn(TypeTag<float>{}, TypeTag<Float16>{}), true;
  if (is(DType::kBF16, DType::kF32)) return fn(TypeTag<BFloat16>{}, TypeTag<float>{}), true;
  if (is(DType::kF16, DType::kF32)) return fn(TypeTag<Float16>{}, TypeTag<float>{}), true;
  if (is(DType::kBF16, DType::kF16)) return fn(TypeTag<BFloat16>{}, TypeTag<Float16>{}), true;
  if (is(DType::kF16, DType::kBF16)) return fn(TypeTag<Float16>{}, TypeTag<BFloat16>{}), true;
  return false;
}

/// Element i of floating-point data, exactly.
TRIREME_HD inline double load_float(DType dtype, const void* data, int64_t i) {
  if (dtype == DType::kF64) return static_cast<const double*>(data)[i];
  if (dtype == DType::kF32) return static_cast<const float*>(data)[i];
  if (dtype == DType::kBF16) return static_cast<const BFloat16*>(data)[i];
  return static_cast<const Float16*>(data)[i];
}

/// Element i of integers or bools.
TRIREME_HD inline int64_t load_integer(DType dtype, const void* data, int64_t i) {
  if (dtype == DType::kI64) return static_cast<const int64_t*>(data)[i];
  if (dtype == DType::kI32) return static_cast<const int32_t*>(data)[i];
  if (dtype == DType::kU8) return static_cast<const uint8_t*>(data)[i];
  return static_cast<const bool*>(data)[i];
}

/// data[i] = value in the dtype of data. A double that came from f32 narrows back exactly.
template <typename Value>
TRIREME_HD void store_as(DType dtype, void* data, int64_t i, Value value) {
  switch (dtype) {
    case DType::kF64:
      static_cast<double*>(data)[i] = convert<double>(value);
      return;
    case DType::kF32:
      static_cast<float*>(data)[i] = convert<float>(value);
      return;
    case DType::kBF16:
      static_cast<BFloat16*>(data)[i] = convert<BFloat16>(value);
      return;
    case DType::kF16:
      static_cast<Float16*>(data)[i] = convert<Float16>(value);
      return;
    case DType::kI64:
      static_cast<int64_t*>(data)[i] = convert<int64_t>(value);
      return;
    case DType::kI32:
      static_cast<int32_t*>(data)[i] = convert<int32_t>(value);
      return;
    case DType::kU8:
      static_cast<uint8_t*>(data)[i] = convert<uint8_t>(value);
      return;
    case DType::kBool:
      static_cast<bool*>(data)[i] = convert<bool>(value);
      return;
  }
}

/// Calls fn(TypeTag<T>) for the dtypes that can be scaled and added: all but u8 and bool.
template <typename Fn>
decltype(auto) dispatch_scalable(const char* op, DType dtype, Fn&& fn) {
  if (dtype == DType::kBF16) return fn(TypeTag<BFloat16>{});
  if (dtype == DType::kF16) return fn(TypeTag<Float16>{});
  if (dtype == DType::kF32) return fn(TypeTag<float>{});
  if (dtype == DType::kF64) return fn(TypeTag<double>{});
  if (dtype == DType::kI64) return fn(TypeTag<int64_t>{});
  if (dtype == DType::kI32) return fn(TypeTag<int32_t>{});
  fail(op, "needs a floating-point dtype, i64 or i32, got ", name_of(dtype), "; convert with to()");
}

}  // namespace trireme::kernels

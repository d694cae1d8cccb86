// Element types, their sizes and names, and the switch from a run-time dtype to a C++ type.

#pragma once

#include <cstdint>
#include <iosfwd>
#include <string_view>
#include <type_traits>

#include "core/base/error.h"
#include "core/base/half.h"

namespace trireme {

enum class DType : uint8_t { kF64, kF32, kBF16, kF16, kI64, kI32, kU8, kBool };

/// Bytes of one element.
constexpr int64_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kF64:
    case DType::kI64:
      return 8;
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kBF16:
    case DType::kF16:
      return 2;
    case DType::kU8:
    case DType::kBool:
      return 1;
  }
  return 0;
}

constexpr bool is_floating(DType dtype) { return dtype <= DType::kF16; }
/// bf16 and f16.
constexpr bool is_half_dtype(DType dtype) { return dtype == DType::kBF16 || dtype == DType::kF16; }

/// "f32" and so on.
const char* name_of(DType dtype);

/// The inverse of name_of. Throws InvalidArgument for an unknown name.
DType parse_dtype(std::string_view name);

std::ostream& operator<<(std::ostream& out, DType dtype);

/// The DType of a C++ element type: dtype_of<float> is DType::kF32.
template <typename T>
inline constexpr DType dtype_of = [] {
  if constexpr (std::is_same_v<T, double>)
    return DType::kF64;
  else if constexpr (std::is_same_v<T, float>)
    return DType::kF32;
  else if constexpr (std::is_same_v<T, BFloat16>)
    return DType::kBF16;
  else if constexpr (std::is_same_v<T, Float16>)
    return DType::kF16;
  else if constexpr (std::is_same_v<T, int64_t>)
    return DType::kI64;
  else if constexpr (std::is_same_v<T, int32_t>)
    return DType::kI32;
  else if constexpr (std::is_same_v<T, uint8_t>)
    return DType::kU8;
  else {
    static_assert(std::is_same_v<T, bool>, "not an element type");
    return DType::kBool;
  }
}();

/// Carries a type as a value, for the lambdas below: `using T = typename decltype(tag)::type;`.
template <typename T>
struct TypeTag {
  using type = T;
};

/// Calls fn(TypeTag<T>) with the C++ type of any dtype.
template <typename Fn>
decltype(auto) dispatch_dtype(DType dtype, Fn&& fn) {
  switch (dtype) {
    case DType::kF64:
      return fn(TypeTag<double>{});
    case DType::kF32:
      return fn(TypeTag<float>{});
    case DType::kBF16:
      return fn(TypeTag<BFloat16>{});
    case DType::kF16:
      return fn(TypeTag<Float16>{});
    case DType::kI64:
      return fn(TypeTag<int64_t>{});
    case DType::kI32:
      return fn(TypeTag<int32_t>{});
    case DType::kU8:
      return fn(TypeTag<uint8_t>{});
    case DType::kBool:
      return fn(TypeTag<bool>{});
  }
  fail("dispatch_dtype", "unknown dtype ", static_cast<int>(dtype));
}

/// What kernels compute with for elements of `dtype`, and the dtype of statistics: f32 for the
/// 16-bit types, `dtype` itself otherwise. The run-time form of Acc<T>.
constexpr DType acc_dtype(DType dtype) { return is_half_dtype(dtype) ? DType::kF32 : dtype; }

/// Calls fn(TypeTag<T>) for f64, f32, bf16 and f16; any other dtype is an error that names the op.
template <typename Fn>
decltype(auto) dispatch_floating(const char* op, DType dtype, Fn&& fn) {
  if (dtype == DType::kF32) return fn(TypeTag<float>{});
  if (dtype == DType::kBF16) return fn(TypeTag<BFloat16>{});
  if (dtype == DType::kF16) return fn(TypeTag<Float16>{});
  if (dtype == DType::kF64) return fn(TypeTag<double>{});
  fail(op, "needs a floating-point dtype, got ", name_of(dtype));
}

}  // namespace trireme

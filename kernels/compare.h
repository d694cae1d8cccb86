// Comparison and choice over broadcasting operands of any dtype.

#pragma once

#include <type_traits>

#include "core/base/device_tag.h"
#include "core/base/dtype.h"
#include "core/base/host_device.h"
#include "core/base/shape.h"
#include "kernels/fill_copy.h"

namespace trireme::kernels {

/// Less and less-or-equal are these with the operands exchanged.
enum class Comparison { kEqual, kNotEqual, kGreater, kGreaterEqual };

/// y[i] = a[i] <comparison> b[i], y dense. Requires a.shape == b.shape (broadcast by strides of 0)
/// and equal dtypes. Comparing with NaN gives false, but kNotEqual true.
void compare(Cpu, Comparison comparison, ConstAnyView a, ConstAnyView b, bool* y);
void compare(Cuda, Comparison comparison, ConstAnyView a, ConstAnyView b, bool* y);

/// y[i] = condition[i] ? a[i] : b[i], y dense. Requires equal shapes, a bool condition, and a and b
/// of y's dtype. A null a or b stands for zeros.
void select(Cpu, ConstAnyView condition, ConstAnyView a, ConstAnyView b, void* y);
void select(Cuda, ConstAnyView condition, ConstAnyView a, ConstAnyView b, void* y);

template <Comparison kComparison, typename V>
TRIREME_HD inline bool holds(V a, V b) {
  if constexpr (kComparison == Comparison::kEqual) {
    return a == b;
  } else if constexpr (kComparison == Comparison::kNotEqual) {
    return a != b;
  } else if constexpr (kComparison == Comparison::kGreater) {
    return a > b;
  } else {
    return a >= b;
  }
}

/// Calls fn with the comparison as a compile-time constant.
template <typename Fn>
void dispatch_comparison(Comparison comparison, const Fn& fn) {
  switch (comparison) {
    case Comparison::kEqual:
      return fn(std::integral_constant<Comparison, Comparison::kEqual>{});
    case Comparison::kNotEqual:
      return fn(std::integral_constant<Comparison, Comparison::kNotEqual>{});
    case Comparison::kGreater:
      return fn(std::integral_constant<Comparison, Comparison::kGreater>{});
    case Comparison::kGreaterEqual:
      return fn(std::integral_constant<Comparison, Comparison::kGreaterEqual>{});
  }
}

}  // namespace trireme::kernels

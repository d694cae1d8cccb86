// What ops ask of their operands before they look at shapes.

#pragma once

#include <initializer_list>
#include <utility>

#include "core/base/whole_number.h"
#include "core/tensor/tensor.h"

namespace trireme::detail {

inline void check_operand(const char* op, const Tensor& x) {
  require(x.defined(), op, "operand is undefined");
}

inline void check_operands(const char* op, const Tensor& a, const Tensor& b) {
  require(a.defined() && b.defined(), op, a.defined() ? "rhs" : "lhs", " is undefined");
  require(a.dtype() == b.dtype(), op, "dtypes differ, lhs is ", a.dtype(), " but rhs is ",
          b.dtype(), "; convert with to()");
  require(a.device() == b.device(), op, "devices differ, lhs is on ", a.device(), " but rhs is on ",
          b.device(), "; move one with to()");
}

/// A scalar beside x: integers take whole numbers only, nothing is rounded silently.
inline void check_scalar(const char* op, const Tensor& x, double value) {
  if (is_floating(x.dtype())) [[likely]]
    return;
  require(holds(x.dtype(), value), op, x.dtype(), " elements need a whole number that fits, got ",
          value, "; convert with to()");
}

/// That an operand which may be undefined lies where x does.
inline void check_device(const char* op, const Tensor& x, const char* name, const Tensor& operand) {
  if (!operand.defined() || operand.device() == x.device()) return;
  fail(op, "devices differ, the first operand is on ", x.device(), " but ", name, " is on ",
       operand.device(), "; move one with to()");
}

/// For operands with names of their own, which the op's other checks then print: all are defined
/// and on one device.
inline void check_defined(const char* op,
                          std::initializer_list<std::pair<const char*, const Tensor*>> operands) {
  for (const auto& [name, x] : operands) {
    require(x->defined(), op, name, " is undefined");
    check_device(op, *operands.begin()->second, name, *x);
  }
}

}  // namespace trireme::detail

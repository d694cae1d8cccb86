// Which numbers elements of integers and bools take.

#pragma once

#include <cmath>

#include "core/base/dtype.h"

namespace trireme {

/// Does the dtype hold `value`? Integers hold whole numbers of their range, bools 0 and 1; of
/// floating types every number, which they round.
inline bool holds(DType dtype, double value) {
  if (is_floating(dtype)) return true;
  const bool is_signed = dtype == DType::kI64 || dtype == DType::kI32;
  const int bits = 8 * static_cast<int>(size_of(dtype));
  const double end = dtype == DType::kBool ? 2 : std::ldexp(1, is_signed ? bits - 1 : bits);
  return value == std::trunc(value) && value >= (is_signed ? -end : 0) && value < end;
}

/// Throws InvalidArgument naming `op` where it does not.
inline void check_holds(const char* op, DType dtype, double value) {
  require(holds(dtype, value), op, dtype, " elements need a whole number that fits, got ", value);
}

}  // namespace trireme

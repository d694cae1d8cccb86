// What every backend asks of the arguments of a collective.

#pragma once

#include <cstdint>

#include "core/base/error.h"
#include "distributed/collective.h"

namespace trireme {

inline void check_buffer(const char* op, const void* data, int64_t count) {
  require(count >= 0, op, "count must not be negative, got ", count);
  require(data || count == 0, op, "needs a buffer for ", count, " elements, got null");
}

inline void check_reduction(const char* op, const void* data, int64_t count, DType dtype,
                            ReduceOp reduce_op) {
  check_buffer(op, data, count);
  require(reduce_op != ReduceOp::kAverage || is_floating(dtype), op,
          "average needs a floating-point dtype, got ", name_of(dtype), "; use sum");
}

}  // namespace trireme

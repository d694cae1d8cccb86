// Whole-number operands: targets and token ids, i64 or i32.

#pragma once

#include <optional>

#include "core/tensor/copy.h"
#include "core/tensor/tensor.h"
#include "kernels/cross_entropy.h"

namespace trireme {

/// Calls fn(pointer to the first of the contiguous `ids`), typed.
template <typename Fn>
void with_ids(const char* op, const Tensor& ids, Fn&& fn) {
  if (ids.dtype() == DType::kI64) return fn(static_cast<const int64_t*>(ids.data<int64_t>()));
  if (ids.dtype() == DType::kI32) return fn(static_cast<const int32_t*>(ids.data<int32_t>()));
  fail(op, "ids must be i64 or i32, got ", ids.dtype());
}

/// Throws InvalidArgument naming the first of the contiguous `ids` that lies outside [0, bound),
/// unless it equals `ignored`. `what` says what an id is: "target", "id".
inline void require_inside(const char* op, const char* what, const Tensor& ids, int64_t bound,
                           std::optional<int64_t> ignored = {}) {
  require(bound > 0 || ids.numel() == 0, op, what, " of shape ", ids.shape(),
          " must lie in [0, 0), which is empty");
  // Where no id is exempt, exempt one that lies inside.
  const int64_t exempt = ignored.value_or(0);
  with_ids(op, ids, [&](const auto* values) {
    on_device(ids.device(), [&](auto device) {
      const int64_t at = kernels::find_outside(device, op, values, ids.numel(), bound, exempt);
      require(at < 0, op, what, " must lie in [0, ", bound, "), got ", at < 0 ? 0 : values[at],
              " at position ", at);
    });
  });
}

}  // namespace trireme

// Ops that make a mask, or are given one, and choose by it. Gradients are those of where().

#include "core/ops/as_rows.h"
#include "core/ops/check.h"
#include "core/ops/ids.h"
#include "core/ops/ops.h"

namespace trireme {
namespace {

/// Whether column - row <= diagonal, [rows, cols].
Tensor on_or_below(int64_t rows, int64_t cols, int64_t diagonal, Device device) {
  const TensorOptions options{DType::kI64, device};
  const Tensor row = unsqueeze(arange(rows, options), 1);
  return less_equal(arange(cols, options), add(row, static_cast<double>(diagonal)));
}

void check_matrix(const char* op, const Tensor& x) {
  detail::check_operand(op, x);
  require(x.rank() >= 2, op, "needs matrices, got shape ", x.shape());
}

Tensor zero_like(const Tensor& x) { return scalar(0, {x.dtype(), x.device()}); }

}  // namespace

Tensor masked_fill(const Tensor& x, const Tensor& mask, double value) {
  detail::check_defined("masked_fill", {{"x", &x}, {"mask", &mask}});
  detail::check_scalar("masked_fill", x, value);
  require(mask.dtype() == DType::kBool, "masked_fill", "mask must be bool, got ", mask.dtype());
  broadcast_shapes("masked_fill", x.shape(), mask.shape());
  return where(mask, scalar(value, {x.dtype(), x.device()}), x);
}

Tensor tril(const Tensor& x, int64_t diagonal) {
  check_matrix("tril", x);
  return where(on_or_below(x.size(-2), x.size(-1), diagonal, x.device()), x, zero_like(x));
}

Tensor triu(const Tensor& x, int64_t diagonal) {
  check_matrix("triu", x);
  return where(on_or_below(x.size(-2), x.size(-1), diagonal - 1, x.device()), zero_like(x), x);
}

Tensor one_hot(const Tensor& ids, int64_t classes) {
  detail::check_operand("one_hot", ids);
  require(ids.dtype() == DType::kI64 || ids.dtype() == DType::kI32, "one_hot",
          "ids must be i64 or i32, got ", ids.dtype());
  require(classes >= -1 && classes != 0, "one_hot", "classes must be positive, or -1, got ",
          classes);
  if (classes == -1) {
    require(ids.numel() > 0, "one_hot", "cannot tell the number of classes from no ids");
    classes = static_cast<int64_t>(max(ids).item()) + 1;
  }
  require_inside("one_hot", "id", dense(ids), classes);
  return to(equal(unsqueeze(ids, -1), arange(classes, {ids.dtype(), ids.device()})), DType::kI64);
}

}  // namespace trireme

// Logic of bool tensors, from choice and comparison: one pass each.

#include "core/ops/check.h"
#include "core/ops/ops.h"

namespace trireme {
namespace {

void check_bool(const char* op, const Tensor& x) {
  require(x.dtype() == DType::kBool, op, "needs bool operands, got ", x.dtype(),
          "; compare with not_equal(x, 0)");
}

void check_bools(const char* op, const Tensor& a, const Tensor& b) {
  detail::check_operands(op, a, b);
  check_bool(op, a);
  broadcast_shapes(op, a.shape(), b.shape());
}

}  // namespace

Tensor logical_and(const Tensor& a, const Tensor& b) {
  check_bools("logical_and", a, b);
  return where(a, b, scalar(0, {DType::kBool, a.device()}));
}

Tensor logical_or(const Tensor& a, const Tensor& b) {
  check_bools("logical_or", a, b);
  return where(a, a, b);
}

Tensor logical_xor(const Tensor& a, const Tensor& b) {
  check_bools("logical_xor", a, b);
  return not_equal(a, b);
}

Tensor logical_not(const Tensor& x) {
  detail::check_operand("logical_not", x);
  check_bool("logical_not", x);
  return equal(x, 0);
}

}  // namespace trireme

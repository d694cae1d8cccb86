#include "kernels/compare.h"

#include "core/autograd/attach.h"
#include "core/ops/autocast.h"
#include "core/ops/map.h"
#include "core/ops/ops.h"
#include "core/ops/self_adjoint.h"

namespace trireme {
namespace {

Tensor compared(const char* op, kernels::Comparison comparison, const Tensor& a, const Tensor& b) {
  detail::check_operands(op, a, b);
  const Shape shape = broadcast_shapes(op, a.shape(), b.shape());
  const Strides a_strides = broadcast_strides(a.shape(), a.strides(), shape);
  const Strides b_strides = broadcast_strides(b.shape(), b.strides(), shape);
  const Tensor y = empty(shape, {DType::kBool, a.device()});
  on_device(a.device(), [&](auto device) {
    kernels::compare(device, comparison, {a.raw_data(), a.dtype(), shape, a_strides},
                     {b.raw_data(), b.dtype(), shape, b_strides}, y.data<bool>());
  });
  return y;
}

// Where a tensor's elements are read from under a shape; 0 everywhere if it is undefined.
struct Operand {
  static constexpr double kZero = 0;  // all bits 0: zero in every dtype
  Operand(const Tensor& x, const Shape& shape)
      : data(x.defined() ? x.raw_data() : &kZero),
        strides(x.defined() ? broadcast_strides(x.shape(), x.strides(), shape)
                            : Dims::filled(shape.rank(), 0)) {}
  const void* data;
  Strides strides;
};

// condition ? a : b under `shape`; an undefined a or b stands for 0.
Tensor choose(const Tensor& condition, const Tensor& a, const Tensor& b, const Shape& shape) {
  const DType dtype = a.defined() ? a.dtype() : b.dtype();
  const Operand lhs(a, shape), rhs(b, shape), chosen(condition, shape);
  const Tensor y = empty(shape, {dtype, condition.device()});
  on_device(y.device(), [&](auto device) {
    kernels::select(device, {chosen.data, DType::kBool, shape, chosen.strides},
                    {lhs.data, dtype, shape, lhs.strides}, {rhs.data, dtype, shape, rhs.strides},
                    y.raw_data());
  });
  return y;
}

}  // namespace

Tensor equal(const Tensor& a, const Tensor& b) {
  if (const auto in = detail::autocast<"equal">(a, b)) return equal(in[0], in[1]);
  return compared("equal", kernels::Comparison::kEqual, a, b);
}

Tensor greater(const Tensor& a, const Tensor& b) {
  if (const auto in = detail::autocast<"greater">(a, b)) return greater(in[0], in[1]);
  return compared("greater", kernels::Comparison::kGreater, a, b);
}

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  if (const auto in = detail::autocast<"where">(a, b)) return where(condition, in[0], in[1]);
  detail::check_operands("where", a, b);
  detail::check_operand("where", condition);
  detail::check_device("where", a, "condition", condition);
  require(condition.dtype() == DType::kBool, "where", "condition must be bool, got ",
          condition.dtype());
  const Shape shape =
      broadcast_shapes("where", broadcast_shapes("where", a.shape(), b.shape()), condition.shape());
  Tensor y = choose(condition, a, b, shape);
  // Either gradient is dy where the operand was chosen and zero elsewhere.
  const auto formula = [&condition](bool is_first, const Tensor& operand) {
    return [is_first, c = save(condition), to = operand.shape()](const Tensor& dy) {
      const auto chosen = [is_first, c](const Tensor& d) {
        return is_first ? choose(c(), d, {}, d.shape()) : choose(c(), {}, d, d.shape());
      };
      return sum_to(detail::self_adjoint("where", dy, chosen), to);
    };
  };
  return attach(differentiable("where"), y, wrt(a, formula(true, a)), wrt(b, formula(false, b)));
}

}  // namespace trireme

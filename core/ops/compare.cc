#include "kernels/compare.h"

#include "core/autograd/attach.h"
#include "core/ops/autocast.h"
#include "core/ops/map.h"
#include "core/ops/ops.h"
#include "core/ops/self_adjoint.h"

namespace trireme {
namespace {

// Whether a kernel's comparison is asked of (a, b) or of (b, a).
enum class Operands { kAsGiven, kExchanged };

Tensor compared(const char* op, kernels::Comparison comparison, const Tensor& a, const Tensor& b,
                Operands order = Operands::kAsGiven) {
  detail::check_operands(op, a, b);
  const Shape shape = broadcast_shapes(op, a.shape(), b.shape());
  const Strides a_strides = broadcast_strides(a.shape(), a.strides(), shape);
  const Strides b_strides = broadcast_strides(b.shape(), b.strides(), shape);
  const Tensor y = empty(shape, {DType::kBool, a.device()});
  on_device(a.device(), [&](auto device) {
    const kernels::ConstAnyView lhs{a.raw_data(), a.dtype(), shape, a_strides};
    const kernels::ConstAnyView rhs{b.raw_data(), b.dtype(), shape, b_strides};
    const bool as_given = order == Operands::kAsGiven;
    kernels::compare(device, comparison, as_given ? lhs : rhs, as_given ? rhs : lhs,
                     y.data<bool>());
  });
  return y;
}

// `value` beside x, of its dtype.
Tensor like(const char* op, const Tensor& x, double value) {
  detail::check_operand(op, x);
  detail::check_scalar(op, x, value);
  return scalar(value, {x.dtype(), x.device()});
}

// Where a tensor's elements are read from under a shape; undefined: nowhere.
struct Operand {
  Operand(const Tensor& x, const Shape& shape)
      : data(x.defined() ? x.raw_data() : nullptr),
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

using kernels::Comparison;

Tensor equal(const Tensor& a, const Tensor& b) {
  if (const auto in = detail::autocast<"equal">(a, b)) return equal(in[0], in[1]);
  return compared("equal", Comparison::kEqual, a, b);
}
Tensor not_equal(const Tensor& a, const Tensor& b) {
  if (const auto in = detail::autocast<"not_equal">(a, b)) return not_equal(in[0], in[1]);
  return compared("not_equal", Comparison::kNotEqual, a, b);
}
Tensor greater(const Tensor& a, const Tensor& b) {
  if (const auto in = detail::autocast<"greater">(a, b)) return greater(in[0], in[1]);
  return compared("greater", Comparison::kGreater, a, b);
}
Tensor greater_equal(const Tensor& a, const Tensor& b) {
  if (const auto in = detail::autocast<"greater_equal">(a, b)) return greater_equal(in[0], in[1]);
  return compared("greater_equal", Comparison::kGreaterEqual, a, b);
}
Tensor less(const Tensor& a, const Tensor& b) {
  if (const auto in = detail::autocast<"less">(a, b)) return less(in[0], in[1]);
  return compared("less", Comparison::kGreater, a, b, Operands::kExchanged);
}
Tensor less_equal(const Tensor& a, const Tensor& b) {
  if (const auto in = detail::autocast<"less_equal">(a, b)) return less_equal(in[0], in[1]);
  return compared("less_equal", Comparison::kGreaterEqual, a, b, Operands::kExchanged);
}

Tensor equal(const Tensor& x, double value) { return equal(x, like("equal", x, value)); }
Tensor not_equal(const Tensor& x, double value) {
  return not_equal(x, like("not_equal", x, value));
}
Tensor greater(const Tensor& x, double value) { return greater(x, like("greater", x, value)); }
Tensor greater_equal(const Tensor& x, double value) {
  return greater_equal(x, like("greater_equal", x, value));
}
Tensor less(const Tensor& x, double value) { return less(x, like("less", x, value)); }
Tensor less_equal(const Tensor& x, double value) {
  return less_equal(x, like("less_equal", x, value));
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

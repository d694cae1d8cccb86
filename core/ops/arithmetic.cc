// Ops of two operands that broadcast. sum_to undoes the broadcasting in each formula, and is
// nothing where the shapes are equal.

#include "core/autograd/attach.h"
#include "core/ops/autocast.h"
#include "core/ops/map.h"
#include "core/ops/ops.h"
#include "core/ops/self_adjoint.h"

namespace trireme {
namespace {

// True if a result of a and b needs history: otherwise what the formulas save is not even touched.
bool is_recorded(const Tensor& a, const Tensor& b) {
  return is_recording() && (a.requires_grad() || b.requires_grad());
}

using detail::check_operands;
using detail::map_arithmetic;
using detail::map_floating;

// Maximum and minimum: Grad(dy, mine, other) is the gradient for `mine`.
template <typename Fn, typename Grad>
Tensor extremum(const char* op, const Tensor& a, const Tensor& b) {
  check_operands(op, a, b);
  Tensor y = map_arithmetic(op, Fn{}, broadcast_shapes(op, a.shape(), b.shape()), a, b);
  if (!is_recorded(a, b)) return y;
  const auto formula = [op](const Tensor& mine, const Tensor& other) {
    return [op, mine = save(mine), other = save(other)](const Tensor& dy) {
      if (!is_recording()) {
        return sum_to(map_floating(op, Grad{}, dy.shape(), dy, mine(), other()), mine().shape());
      }
      const auto chosen = [op, mine, other](const Tensor& d) {
        return map_floating(op, Grad{}, d.shape(), d, mine(), other());
      };
      return sum_to(detail::self_adjoint(op, dy, chosen), mine().shape());
    };
  };
  return attach(differentiable(op), y, wrt(a, formula(a, b)), wrt(b, formula(b, a)));
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  if (const auto in = detail::autocast<"add">(a, b)) return add(in[0], in[1]);
  check_operands("add", a, b);
  Tensor y =
      map_arithmetic("add", kernels::Add{}, broadcast_shapes("add", a.shape(), b.shape()), a, b);
  return attach(differentiable("add"), y,
                wrt(a, [shape = a.shape()](const Tensor& dy) { return sum_to(dy, shape); }),
                wrt(b, [shape = b.shape()](const Tensor& dy) { return sum_to(dy, shape); }));
}

Tensor sub(const Tensor& a, const Tensor& b) {
  if (const auto in = detail::autocast<"sub">(a, b)) return sub(in[0], in[1]);
  check_operands("sub", a, b);
  Tensor y =
      map_arithmetic("sub", kernels::Sub{}, broadcast_shapes("sub", a.shape(), b.shape()), a, b);
  return attach(differentiable("sub"), y,
                wrt(a, [shape = a.shape()](const Tensor& dy) { return sum_to(dy, shape); }),
                wrt(b, [shape = b.shape()](const Tensor& dy) { return neg(sum_to(dy, shape)); }));
}

Tensor mul(const Tensor& a, const Tensor& b) {
  if (const auto in = detail::autocast<"mul">(a, b)) return mul(in[0], in[1]);
  check_operands("mul", a, b);
  Tensor y =
      map_arithmetic("mul", kernels::Mul{}, broadcast_shapes("mul", a.shape(), b.shape()), a, b);
  if (!is_recorded(a, b)) return y;
  return attach(differentiable("mul"), y,
                wrt(a, [shape = a.shape(),
                        b = save(b)](const Tensor& dy) { return sum_to(mul(dy, b()), shape); }),
                wrt(b, [shape = b.shape(), a = save(a)](const Tensor& dy) {
                  if (is_recording()) return sum_to(mul(dy, a()), shape);
                  return sum_to(map_floating("mul", kernels::Mul{}, dy.shape(), dy, a()), shape);
                }));
}

Tensor div(const Tensor& a, const Tensor& b) {
  if (const auto in = detail::autocast<"div">(a, b)) return div(in[0], in[1]);
  check_operands("div", a, b);
  Tensor y =
      map_floating("div", kernels::Div{}, broadcast_shapes("div", a.shape(), b.shape()), a, b);
  if (!is_recorded(a, b)) return y;
  return attach(differentiable("div"), y,
                wrt(a, [shape = a.shape(),
                        b = save(b)](const Tensor& dy) { return sum_to(div(dy, b()), shape); }),
                // d(a/b)/db = -(a/b) / b
                wrt(b, [y = save_output(y), b = save(b)](const Tensor& dy) {
                  if (is_recording()) return sum_to(neg(dy * y()) / b(), b().shape());
                  return sum_to(
                      map_floating("div", kernels::DivGradRhs{}, dy.shape(), dy, y(), b()),
                      b().shape());
                }));
}

Tensor maximum(const Tensor& a, const Tensor& b) {
  if (const auto in = detail::autocast<"maximum">(a, b)) return maximum(in[0], in[1]);
  return extremum<kernels::Maximum, kernels::MaximumGrad>("maximum", a, b);
}

Tensor minimum(const Tensor& a, const Tensor& b) {
  if (const auto in = detail::autocast<"minimum">(a, b)) return minimum(in[0], in[1]);
  return extremum<kernels::Minimum, kernels::MinimumGrad>("minimum", a, b);
}

}  // namespace trireme

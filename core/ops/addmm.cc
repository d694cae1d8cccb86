#include "core/ops/autocast.h"
#include "core/ops/check.h"
#include "core/ops/ops.h"

namespace trireme {

Tensor bmm(const Tensor& a, const Tensor& b) {
  if (const auto in = detail::autocast<"bmm">(a, b)) return bmm(in[0], in[1]);
  detail::check_operands("bmm", a, b);
  require(a.rank() == 3 && b.rank() == 3 && a.size(0) == b.size(0) && a.size(2) == b.size(1), "bmm",
          "needs [batch, m, k] and [batch, k, n], lhs is ", a.shape(), " but rhs is ", b.shape());
  return matmul(a, b);
}

Tensor addmm(const Tensor& x, const Tensor& a, const Tensor& b, double beta, double alpha) {
  if (const auto in = detail::autocast<"addmm">(x, a, b)) {
    return addmm(in[0], in[1], in[2], beta, alpha);
  }
  detail::check_defined("addmm", {{"x", &x}, {"a", &a}, {"b", &b}});
  detail::check_operands("addmm", a, b);
  detail::check_operands("addmm", x, a);
  require(a.rank() == 2 && b.rank() == 2 && a.size(1) == b.size(0), "addmm",
          "needs [m, k] and [k, n], a is ", a.shape(), " but b is ", b.shape());
  const Shape shape{a.size(0), b.size(1)};
  require(broadcast_shapes("addmm", x.shape(), shape) == shape, "addmm", "x of ", x.shape(),
          " does not broadcast to ", shape);
  // A bias is added inside the product.
  if (beta == 1 && alpha == 1 && x.shape() == Shape{shape[1]}) return linear(a, b, x);
  const Tensor product = matmul(a, b), scaled = alpha == 1 ? product : mul(product, alpha);
  if (beta == 0) return scaled;
  return add(beta == 1 ? x : mul(x, beta), scaled);
}

}  // namespace trireme

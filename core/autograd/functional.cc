#include "core/autograd/functional.h"

#include "core/autograd/backward.h"
#include "core/autograd/no_grad.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"
#include "core/tensor/view.h"

namespace trireme {
namespace {

Tensor as_leaf(const char* op, const Tensor& x) {
  require(x.defined() && is_floating(x.dtype()), op, "needs a floating-point tensor, got ",
          x.defined() ? concat(x.dtype(), x.shape()) : "an undefined one");
  return x.detach().set_requires_grad();
}

/// What the caller's function has given.
Tensor checked(const char* op, const Tensor& y) {
  require(y.defined() && is_floating(y.dtype()), op,
          "needs a function with a floating-point result, got ",
          y.defined() ? concat(y.dtype(), y.shape()) : "an undefined one");
  return y;
}

/// [y's dimensions.., x's dimensions..] of dy/dx for a y with history.
Tensor rows_of_jacobian(const Tensor& y, const Tensor& x) {
  const TensorOptions like{x.dtype(), x.device()};
  Tensor rows = zeros({y.numel(), x.numel()}, like);
  for (int64_t i = 0; y.requires_grad() && i < y.numel(); ++i) {
    const Tensor unit = zeros({y.numel()}, {y.dtype(), y.device()});
    fill_inplace(views::slice(unit, 0, i, i + 1), 1);
    const Tensor dx = grad({y}, {x},
                           {.output_gradients = {views::reshape(unit, y.shape())},
                            .retain_graph = true,
                            .allow_unused = true})[0];
    if (!dx.defined()) break;
    copy_inplace(views::slice(rows, 0, i, i + 1), views::reshape(dx, {1, x.numel()}));
  }
  Shape shape = y.shape();
  for (int64_t extent : x.shape()) shape.push_back(extent);
  return views::reshape(rows, shape);
}

}  // namespace

Tensor jacobian(const std::function<Tensor(const Tensor&)>& fn, const Tensor& x) {
  const Tensor leaf = as_leaf("jacobian", x);
  const EnableGrad record;
  return rows_of_jacobian(checked("jacobian", fn(leaf)), leaf);
}

Tensor hessian(const std::function<Tensor(const Tensor&)>& fn, const Tensor& x) {
  const Tensor leaf = as_leaf("hessian", x);
  const EnableGrad record;
  const Tensor y = checked("hessian", fn(leaf));
  require(y.numel() == 1, "hessian", "needs a function with a scalar result, got shape ",
          y.shape());
  if (!y.requires_grad()) return rows_of_jacobian(leaf.detach(), leaf);
  const Tensor first = grad({y}, {leaf}, {.create_graph = true, .allow_unused = true})[0];
  return rows_of_jacobian(first.defined() ? first : zeros_like(leaf), leaf);
}

Vjp vjp(const std::function<Tensor(const std::vector<Tensor>&)>& fn,
        const std::vector<Tensor>& inputs, const Tensor& v) {
  std::vector<Tensor> leaves;
  for (const Tensor& x : inputs) leaves.push_back(as_leaf("vjp", x));
  const EnableGrad record;
  const Tensor y = checked("vjp", fn(leaves));
  Vjp result{y.detach(), std::vector<Tensor>(inputs.size())};
  if (y.requires_grad()) {
    std::vector<Tensor> given;
    if (v.defined()) given.push_back(v);
    result.gradients = grad({y}, leaves, {.output_gradients = given, .allow_unused = true});
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!result.gradients[i].defined()) result.gradients[i] = zeros_like(inputs[i]);
  }
  return result;
}

}  // namespace trireme

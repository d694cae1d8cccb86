// Derivatives of small functions as tensors. Each runs `fn` on fresh leaves that share memory with
// what it is given; nobody's grad() changes. Several threads may call them at a time.

#pragma once

#include <functional>
#include <vector>

#include "core/tensor/tensor.h"

namespace trireme {

/// The Jacobian of y = fn(x): [y's dimensions.., x's dimensions..], one backward pass per element
/// of y. Zero where y does not depend on x.
Tensor jacobian(const std::function<Tensor(const Tensor&)>& fn, const Tensor& x);

/// The second derivatives of a scalar fn(x): [x's dimensions.., x's dimensions..]. Requires ops
/// that can be differentiated twice.
Tensor hessian(const std::function<Tensor(const Tensor&)>& fn, const Tensor& x);

/// y = fn(inputs) and v^T J for each input: the gradients of sum(v * y). v is like y, and may be
/// left undefined for a scalar.
struct Vjp {
  Tensor value;
  std::vector<Tensor> gradients;
};
Vjp vjp(const std::function<Tensor(const std::vector<Tensor>&)>& fn,
        const std::vector<Tensor>& inputs, const Tensor& v = {});

}  // namespace trireme

#include "core/optim/clip.h"

#include <cmath>

#include "core/autograd/no_grad.h"
#include "core/ops/ops.h"
#include "kernels/global_norm.h"

namespace trireme {

double grad_norm(const StateDict& parameters) {
  double sum = 0;
  for (const auto& [name, p] : parameters) {
    const Tensor grad = p.grad();
    if (!grad.defined()) continue;
    const Tensor dense = to_contiguous(grad);
    dispatch_floating("grad_norm", dense.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      on_device(dense.device(), [&](auto device) {
        kernels::add_sum_of_squares(device, dense.data<T>(), dense.numel(), &sum);
      });
    });
  }
  return std::sqrt(sum);
}

double clip_factor(double norm, double max_norm) {
  return max_norm > 0 && std::isfinite(norm) && norm > max_norm ? max_norm / norm : 1.0;
}

void clip_grad_value(const StateDict& parameters, double limit) {
  require(limit > 0, "clip_grad_value", "limit must be positive, got ", limit);
  NoGrad no_grad;
  for (const auto& [name, p] : parameters) {
    if (const Tensor grad = p.grad(); grad.defined()) {
      copy_inplace(grad, clamp(grad, -limit, limit));
    }
  }
}

}  // namespace trireme

// The losses that compare elements: compositions of pointwise ops and one reduction.

#include "core/ops/losses.h"

#include <limits>

#include "core/autograd/attach.h"
#include "core/ops/autocast.h"
#include "core/ops/map.h"
#include "core/ops/ops.h"
#include "core/ops/reduced_loss.h"
#include "kernels/activation_functors.h"

namespace trireme {
namespace {

using detail::reduced_loss;

void check_pair(const char* op, const Tensor& x, const Tensor& targets) {
  detail::check_operands(op, x, targets);
  require(x.shape() == targets.shape(), op, "targets must have the shape of the predictions, ",
          x.shape(), ", got ", targets.shape());
}

Tensor smooth_l1(const Tensor& difference, double beta) {
  const kernels::SmoothL1 fn{beta};
  Tensor y = detail::map_floating(fn.kName, fn, difference.shape(), difference);
  return attach(differentiable(fn.kName), std::move(y),
                wrt(difference, [fn, d = save(difference)](const Tensor& dy) {
                  if (is_recording()) return dy * clamp(d() / fn.beta, -1, 1);
                  return detail::map_floating(fn.kName, kernels::GradOf<kernels::SmoothL1>{fn},
                                              dy.shape(), dy, d());
                }));
}

Tensor x_log_x(const Tensor& x) {
  const kernels::XLogX fn;
  Tensor y = detail::map_floating(fn.kName, fn, x.shape(), x);
  return attach(differentiable(fn.kName), std::move(y), wrt(x, [fn, x = save(x)](const Tensor& dy) {
                  if (is_recording()) return dy * (log(x()) + 1.0);
                  return detail::map_floating(fn.kName, kernels::GradOf<kernels::XLogX>{fn},
                                              dy.shape(), dy, x());
                }));
}

Tensor bce(const Tensor& x, const Tensor& targets) {
  constexpr const char* kOp = kernels::BceWithLogits::kName;
  Tensor y = detail::map_floating(kOp, kernels::BceWithLogits{}, x.shape(), x, targets);
  return attach(differentiable(kOp), std::move(y),
                wrt(x,
                    [x = save(x), t = save(targets)](const Tensor& dy) {
                      if (is_recording()) return dy * (sigmoid(x()) - t());
                      return detail::map_floating(kOp, kernels::BceWithLogitsGrad{}, dy.shape(), dy,
                                                  x(), t());
                    }),
                wrt(targets, [x = save(x)](const Tensor& dy) { return neg(dy * x()); }));
}

void check_factor(const char* name, const Tensor& factor, const Tensor& x) {
  if (!factor) return;
  constexpr const char* kOp = kernels::BceWithLogits::kName;
  detail::check_operands(kOp, x, factor);
  require(broadcast_shapes(kOp, factor.shape(), x.shape()) == x.shape(), kOp, name,
          " must broadcast to the losses, ", x.shape(), ", got ", factor.shape());
}

}  // namespace

Tensor mse_loss(const Tensor& x, const Tensor& targets, Reduction reduction) {
  if (const auto in = detail::autocast<"mse_loss">(x, targets))
    return mse_loss(in[0], in[1], reduction);
  check_pair("mse_loss", x, targets);
  return reduced_loss(square(x - targets), reduction);
}

Tensor l1_loss(const Tensor& x, const Tensor& targets, Reduction reduction) {
  if (const auto in = detail::autocast<"l1_loss">(x, targets))
    return l1_loss(in[0], in[1], reduction);
  check_pair("l1_loss", x, targets);
  return reduced_loss(abs(x - targets), reduction);
}

Tensor smooth_l1_loss(const Tensor& x, const Tensor& targets, double beta, Reduction reduction) {
  if (const auto in = detail::autocast<"smooth_l1_loss">(x, targets))
    return smooth_l1_loss(in[0], in[1], beta, reduction);
  check_pair("smooth_l1_loss", x, targets);
  require(beta >= 0, "smooth_l1_loss", "beta must not be negative, got ", beta);
  if (beta == 0) return reduced_loss(abs(x - targets), reduction);
  return reduced_loss(smooth_l1(x - targets, beta), reduction);
}

Tensor huber_loss(const Tensor& x, const Tensor& targets, double delta, Reduction reduction) {
  if (const auto in = detail::autocast<"huber_loss">(x, targets))
    return huber_loss(in[0], in[1], delta, reduction);
  check_pair("huber_loss", x, targets);
  require(delta > 0, "huber_loss", "delta must be positive, got ", delta);
  return reduced_loss(smooth_l1(x - targets, delta) * delta, reduction);
}

Tensor kl_div(const Tensor& x, const Tensor& targets, KlTarget form, Reduction reduction) {
  if (const auto in = detail::autocast<"kl_div">(x, targets))
    return kl_div(in[0], in[1], form, reduction);
  check_pair("kl_div", x, targets);
  if (form == KlTarget::kLog) return reduced_loss(exp(targets) * (targets - x), reduction);
  return reduced_loss(x_log_x(targets) - targets * x, reduction);
}

Tensor binary_cross_entropy_with_logits(const Tensor& x, const Tensor& targets,
                                        const BceOptions& options) {
  constexpr const char* kOp = kernels::BceWithLogits::kName;
  if (const auto in = detail::autocast<"binary_cross_entropy_with_logits">(
          x, targets, options.weight, options.pos_weight)) {
    return binary_cross_entropy_with_logits(in[0], in[1], {in[2], in[3], options.reduction});
  }
  check_pair(kOp, x, targets);
  check_factor("weight", options.weight, x);
  check_factor("pos_weight", options.pos_weight, x);
  Tensor each = bce(x, targets);
  // p t sp(-x) + (1 - t) sp(x) with sp the softplus is the plain loss and (p - 1) t sp(-x).
  if (options.pos_weight) {
    constexpr double kNoThreshold = std::numeric_limits<double>::infinity();
    each = each + (options.pos_weight - 1.0) * targets * softplus(neg(x), 1, kNoThreshold);
  }
  if (options.weight) each = each * options.weight;
  return reduced_loss(each, options.reduction);
}

}  // namespace trireme

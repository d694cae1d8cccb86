#include "core/optim/clip.h"

#include <cmath>
#include <optional>
#include <vector>

#include "core/autograd/no_grad.h"
#include "core/ops/ops.h"
#include "kernels/global_norm.h"

namespace trireme {
namespace {

// Gradients of one dtype in one call: on CUDA two kernels for all of them.
template <typename T>
void add_squares_of(const std::vector<Tensor>& gradients, const Tensor& sum) {
  std::vector<kernels::NormSpan<T>> spans;
  for (const Tensor& g : gradients) {
    if (g.dtype() == dtype_of<T>) spans.push_back({g.numel(), g.data<T>()});
  }
  if (spans.empty()) return;
  on_device(sum.device(), [&](auto device) {
    kernels::add_sum_of_squares(device, std::span<const kernels::NormSpan<T>>(spans),
                                sum.data<double>());
  });
}

[[noreturn]] void refuse(const StateDict& parameters) {
  for (const auto& [name, p] : parameters) {
    if (!p.grad().defined()) continue;
    const double norm = grad_norm({{name, p}});
    if (!std::isfinite(norm)) {
      throw Error(
          concat("clip_grad_norm: gradients must be finite, the norm of ", name, "'s is ", norm));
    }
  }
  // Squares of f64 gradients that overflow together only.
  throw Error("clip_grad_norm: gradients must be finite, their norm together is not");
}

}  // namespace

GradientNorm clip_grad_norm(const StateDict& parameters, double max_norm, double loss_scale,
                            NonFinite policy) {
  require(loss_scale > 0, "clip_grad_norm", "loss_scale must be positive, got ", loss_scale);
  require(!std::isnan(max_norm), "clip_grad_norm", "max_norm must be a number, got ", max_norm);
  std::vector<Tensor> gradients;
  std::optional<Device> place;
  for (const auto& [name, p] : parameters) {
    const Tensor gradient = p.grad();
    if (!gradient.defined()) continue;
    if (!place) place = gradient.device();
    require(gradient.device() == *place, "clip_grad_norm", "gradients must lie on one device, ",
            name, "'s is on ", gradient.device(), ", others' on ", *place);
    gradients.push_back(to_contiguous(gradient));
  }
  const TensorOptions scalar{DType::kF64, place.value_or(Device{})};
  const GradientNorm result{zeros({}, scalar), empty({}, scalar)};
  add_squares_of<float>(gradients, result.norm);
  add_squares_of<double>(gradients, result.norm);
  add_squares_of<BFloat16>(gradients, result.norm);
  add_squares_of<Float16>(gradients, result.norm);
  on_device(scalar.device, [&](auto device) {
    double* const norm = result.norm.data<double>();
    kernels::norm_to_factor(device, norm, loss_scale, max_norm, norm, result.factor.data<double>(),
                            policy == NonFinite::kIgnore ? 1 / loss_scale : 0);
  });
  if (policy == NonFinite::kError && !std::isfinite(result.norm.item())) refuse(parameters);
  return result;
}

double grad_norm(const StateDict& parameters) { return clip_grad_norm(parameters, 0).norm.item(); }

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

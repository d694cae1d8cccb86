#include "core/optim/optimizer.h"

#include <cmath>
#include <set>

#include "core/autograd/no_grad.h"
#include "core/tensor/allocator.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"

namespace trireme {

std::vector<ParameterGroup> decay_matrices_only(const StateDict& parameters, double weight_decay) {
  ParameterGroup decayed{{}, {.weight_decay = weight_decay}}, rest;
  for (const auto& entry : parameters) {
    (entry.second.rank() >= 2 ? decayed : rest).parameters.push_back(entry);
  }
  std::vector<ParameterGroup> groups;
  if (!decayed.parameters.empty()) groups.push_back(std::move(decayed));
  if (!rest.parameters.empty()) groups.push_back(std::move(rest));
  return groups;
}

Optimizer::Optimizer(std::vector<ParameterGroup> groups, double lr,
                     std::vector<std::string> moments)
    : moment_names_(std::move(moments)) {
  set_lr(lr);
  const MemoryKindGuard kind(MemoryKind::kOptimizer);
  std::set<std::string> names;
  for (const ParameterGroup& group : groups) {
    require(group.options.weight_decay >= 0 && group.options.lr_factor >= 0, "optimizer",
            "weight_decay and lr_factor must not be negative, got ", group.options.weight_decay,
            " and ", group.options.lr_factor);
    for (const auto& [name, p] : group.parameters) {
      require(names.insert(name).second, "optimizer", "parameter '", name, "' is given twice");
      require(p.is_leaf() && is_floating(p.dtype()) && p.is_contiguous(), "optimizer",
              "parameter '", name, "' must be a contiguous floating-point leaf");
      Entry entry{name, p, {}, zeros({}, {DType::kI64}), group.options};
      // Averages of 16-bit gradients are f32: small changes must not be rounded away.
      const TensorOptions moment{acc_dtype(p.dtype()), p.device()};
      for (size_t i = 0; i < moment_names_.size(); ++i) {
        entry.moments.push_back(zeros(p.shape(), moment));
      }
      entries_.push_back(std::move(entry));
    }
  }
  require(!entries_.empty(), "optimizer", "needs at least one parameter");
}

void Optimizer::set_lr(double lr) {
  require(std::isfinite(lr) && lr >= 0, "optimizer", "lr must be finite and not negative, got ",
          lr);
  lr_ = lr;
}

void Optimizer::step(double grad_scale) {
  NoGrad no_grad;
  for (Entry& entry : entries_) {
    const Tensor gradient = entry.parameter.grad();
    if (!gradient.defined()) continue;
    update({.parameter = entry.parameter,
            .gradient = to_contiguous(gradient),
            .moments = entry.moments,
            .options = entry.options,
            .lr = lr_ * entry.options.lr_factor,
            .grad_scale = grad_scale,
            .step = ++*entry.updates.data<int64_t>()});
    entry.parameter.bump_version();
  }
}

void Optimizer::zero_grad() {
  for (Entry& entry : entries_) entry.parameter.zero_grad();
}

StateDict Optimizer::parameters() const {
  StateDict result;
  for (const Entry& entry : entries_) result.emplace_back(entry.name, entry.parameter);
  return result;
}

StateDict Optimizer::state_dict() const {
  StateDict result;
  for (const Entry& entry : entries_) {
    for (size_t i = 0; i < moment_names_.size(); ++i) {
      result.emplace_back(moment_names_[i] + "." + entry.name, entry.moments[i]);
    }
    result.emplace_back("updates." + entry.name, entry.updates);
  }
  return result;
}

}  // namespace trireme

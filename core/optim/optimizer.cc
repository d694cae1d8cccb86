#include "core/optim/optimizer.h"

#include <cmath>
#include <set>

#include "core/autograd/no_grad.h"
#include "core/optim/master_weights.h"
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
                     std::vector<std::string> moments, MasterWeights master)
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
              "parameter '", name, "' must be a contiguous floating leaf");
      Entry entry{.name = name,
                  .parameter = p,
                  .master = {},
                  .moments = {},
                  .updates = zeros({}, {DType::kI64}),
                  .options = group.options};
      const TensorOptions exact{acc_dtype(p.dtype()), p.device()};
      if (is_half_dtype(p.dtype()) && master == MasterWeights::kF32) {
        entry.master = clone_detached(cast(p, exact.dtype));
      }
      for (size_t i = 0; i < moment_names_.size(); ++i) {
        entry.moments.push_back(zeros(p.shape(), exact));
      }
      entry.note_versions();
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

void Optimizer::Entry::note_versions() const {
  parameter_version = parameter.version();
  if (master) master_version = master.version();
}

void Optimizer::Entry::refresh_master() const {
  if (!master || parameter.version() == parameter_version) return;
  if (master.version() == master_version) copy_inplace(master, parameter.detach());
  note_versions();
}

Optimizer::Update& Optimizer::update_for(const Entry& entry, const double* grad_factor) {
  const int64_t step = ++*entry.updates.data<int64_t>();
  for (Update& u : updates_) {
    if (u.parts.empty() ||
        (u.step == step && u.options == entry.options && u.dtype() == entry.parameter.dtype() &&
         u.device() == entry.parameter.device())) {
      u.options = entry.options;
      u.lr = lr_ * entry.options.lr_factor;
      u.grad_factor = grad_factor;
      u.step = step;
      return u;
    }
  }
  return updates_.emplace_back(Update{.parts = {},
                                      .options = entry.options,
                                      .lr = lr_ * entry.options.lr_factor,
                                      .grad_factor = grad_factor,
                                      .step = step});
}

void Optimizer::step(const Tensor& grad_factor) {
  NoGrad no_grad;
  const double* const factor = grad_factor ? grad_factor.data<double>() : nullptr;
  for (Update& u : updates_) u.parts.clear();
  for (const Entry& entry : entries_) {
    const Tensor gradient = entry.parameter.grad();
    if (!gradient.defined()) continue;
    entry.refresh_master();
    require(!factor || gradient.device() == grad_factor.device(), "optimizer", "grad_factor is on ",
            grad_factor ? grad_factor.device() : Device{}, ", the gradient of ", entry.name, " on ",
            gradient.device());
    update_for(entry, factor)
        .parts.push_back({entry.parameter, to_contiguous(gradient), entry.master, &entry.moments});
  }
  for (Update& u : updates_) {
    if (u.parts.empty()) continue;
    update(u);
    for (const Part& part : u.parts) {
      part.parameter.bump_version();
      if (part.master) part.master.bump_version();
    }
    u.parts.clear();
  }
  for (const Entry& entry : entries_) entry.note_versions();
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
    entry.refresh_master();
    if (entry.master) result.emplace_back(kMasterPrefix + entry.name, entry.master);
    for (size_t i = 0; i < moment_names_.size(); ++i) {
      result.emplace_back(moment_names_[i] + "." + entry.name, entry.moments[i]);
    }
    result.emplace_back("updates." + entry.name, entry.updates);
  }
  return result;
}

}  // namespace trireme

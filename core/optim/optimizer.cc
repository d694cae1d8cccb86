#include "core/optim/optimizer.h"

#include <cmath>
#include <set>

#include "core/autograd/no_grad.h"
#include "core/base/config.h"
#include "core/cuda/graph.h"
#include "core/ops/ops.h"
#include "core/optim/master_weights.h"
#include "core/tensor/allocator.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"
#include "core/tensor/view.h"

namespace trireme {
namespace {

// Each replay would repeat what was captured: learning rate and number of the update, or the copy
// of a parameter that was written into to its master.
constexpr const char* kFrozen = "call keep_schedule_on_device() before capturing";
constexpr const char* kMoved = "take a step after writing into parameters, then capture";

void refuse_in_captured_step(const char* advice) {
  if constexpr (kHasCuda) cuda::refuse_while_capturing("optimizer", advice);
}

void check_parameter(const std::string& name, const Tensor& p) {
  require(p.defined(), "optimizer", "parameter '", name, "' is undefined");
  require(is_floating(p.dtype()), "optimizer", "parameter '", name, "' must be floating, got ",
          p.dtype(), p.shape());
  require(p.is_leaf(), "optimizer", "parameter '", name,
          "' must be a leaf, got the result of an op, ", p.dtype(), p.shape(),
          "; use detach(), or update what it was made from");
  require(p.is_contiguous(), "optimizer", "parameter '", name, "' must be contiguous, got strides ",
          p.strides(), " for ", p.shape(), "; use contiguous()");
}

}  // namespace

Optimizer::Optimizer(std::vector<ParameterGroup> groups, double lr,
                     std::vector<std::string> moments, MasterWeights master)
    : Optimizer({{std::move(groups), std::move(moments)}}, lr, master) {}

Optimizer::Optimizer(std::vector<RuleGroups> rules, double lr, MasterWeights master) {
  set_lr(lr);
  const MemoryKindGuard kind(MemoryKind::kOptimizer);
  std::set<std::string> names;
  for (const auto& [groups, moments] : rules) {
    const int rule = static_cast<int>(moment_names_.size());
    for (const ParameterGroup& group : groups) {
      require(group.options.weight_decay >= 0 && group.options.lr_factor >= 0, "optimizer",
              "weight_decay and lr_factor must not be negative, got ", group.options.weight_decay,
              " and ", group.options.lr_factor);
      for (const auto& [name, p] : group.parameters) {
        require(names.insert(name).second, "optimizer", "parameter '", name, "' is given twice");
        check_parameter(name, p);
        add_entry({.name = name, .parameter = p, .options = group.options, .rule = rule}, moments,
                  master);
      }
    }
    moment_names_.push_back(moments);
  }
  require(!entries_.empty(), "optimizer", "needs at least one parameter");
}

void Optimizer::add_entry(Entry entry, const std::vector<std::string>& moments,
                          MasterWeights master) {
  const Tensor& p = entry.parameter;
  const TensorOptions exact{acc_dtype(p.dtype()), p.device()};
  entry.updates = zeros({}, {DType::kI64});
  if (is_half_dtype(p.dtype()) && master == MasterWeights::kF32) {
    entry.master = clone_detached(cast(p, exact.dtype));
  }
  if (is_half_dtype(p.dtype()) && master == MasterWeights::kStochastic) {
    require(p.dtype() == DType::kBF16, "optimizer", "only bf16 is rounded at random, '", entry.name,
            "' is ", p.dtype(), "; keep f32 masters");
    entry.rounding_block = rounding_blocks_;
    rounding_blocks_ += static_cast<uint64_t>((p.numel() + 3) / 4);
  }
  for (size_t i = 0; i < moments.size(); ++i) entry.moments.push_back(zeros(p.shape(), exact));
  entry.note_versions();
  entries_.push_back(std::move(entry));
}

void Optimizer::set_lr(double lr) {
  require(std::isfinite(lr) && lr >= 0, "optimizer", "lr must be finite and not negative, got ",
          lr);
  lr_ = lr;
  if (device_lr_) copy_inplace(device_lr_, full({}, lr, {DType::kF64}));
}

void Optimizer::keep_schedule_on_device() {
  if (device_lr_) return;
  const Device device = entries_.front().parameter.device();
  const auto updates = *entries_.front().updates.data<int64_t>();
  for (const Entry& e : entries_) {
    require(e.parameter.device() == device && *e.updates.data<int64_t>() == updates, "optimizer",
            "a schedule on the device needs all parameters there and equally often updated, '",
            e.name, "' is on ", e.parameter.device(), " and had ", *e.updates.data<int64_t>(),
            " updates, '", entries_.front().name, "' is on ", device, " and had ", updates);
  }
  const MemoryKindGuard kind(MemoryKind::kOptimizer);
  const Tensor pair = from_vector<double>({lr_, static_cast<double>(updates)}, {2}, device);
  device_lr_ = views::reshape(views::slice(pair, 0, 0, 1), {});
  device_updates_ = views::reshape(views::slice(pair, 0, 1, 2), {});
  one_ = ones_like(device_updates_);
  zero_ = zeros_like(device_updates_);
  for (const Entry& e : entries_) e.refresh_master();
}

// Before anything is counted or queued.
void Optimizer::check_step(const Tensor& grad_factor) const {
  for (const Entry& e : entries_) {
    const Tensor gradient = e.parameter.grad();
    require(gradient.defined() || !device_lr_, "optimizer",
            "with a schedule on the device every parameter needs a gradient, '", e.name,
            "' has none");
    require(!gradient.defined() || !grad_factor || gradient.device() == grad_factor.device(),
            "optimizer", "grad_factor is on ", grad_factor ? grad_factor.device() : Device{},
            ", the gradient of '", e.name, "' on ", e.parameter.device());
    if (e.master && e.parameter.version() != e.parameter_version) refuse_in_captured_step(kMoved);
  }
  if (!device_lr_) refuse_in_captured_step(kFrozen);
}

void Optimizer::count_on_device(const Tensor& grad_factor) {
  const Tensor counts = grad_factor ? cast(greater(grad_factor, zero_), DType::kF64) : one_;
  accumulate_inplace(device_updates_, counts);
}

void Optimizer::Entry::note_versions() const {
  parameter_version = parameter.version();
  if (master) master_version = master.version();
}

void Optimizer::Entry::refresh_master() const {
  if (!master || parameter.version() == parameter_version) return;
  if (master.version() == master_version) {
    // What was written back as it was (a backup, the same checkpoint) costs no digits.
    const Tensor now = parameter.detach();
    const NoGrad no_grad;
    copy_inplace(master,
                 where(equal(cast(master, now.dtype()), now), master, cast(now, master.dtype())));
  }
  note_versions();
}

Optimizer::Update& Optimizer::update_for(const Entry& entry, const double* grad_factor) {
  const double* const schedule = device_lr_ ? device_lr_.data<double>() : nullptr;
  const double lr = (schedule ? 1 : lr_) * entry.options.lr_factor;
  const int64_t step = schedule ? 1 : ++*entry.updates.data<int64_t>();
  Update* found = nullptr;
  for (Update& u : updates_) {
    if (u.parts.empty() ||
        (u.step == step && u.rule == entry.rule && u.options == entry.options &&
         u.dtype() == entry.parameter.dtype() && u.device() == entry.parameter.device())) {
      found = &u;
      break;
    }
  }
  if (!found) found = &updates_.emplace_back();
  found->rule = entry.rule;
  found->options = entry.options;
  found->lr = lr;
  found->grad_factor = grad_factor;
  found->step = step;
  found->schedule = schedule;
  found->rounding_blocks = rounding_blocks_;
  return *found;
}

void Optimizer::step(const Tensor& grad_factor) {
  NoGrad no_grad;
  if (grad_factor) {
    require(grad_factor.numel() == 1 && grad_factor.dtype() == DType::kF64, "optimizer",
            "grad_factor must be one f64 number, got ", grad_factor.dtype(), grad_factor.shape());
  }
  const double* const factor = grad_factor ? grad_factor.data<double>() : nullptr;
  for (Update& u : updates_) u.parts.clear();
  check_step(grad_factor);
  if (device_lr_) {
    count_on_device(grad_factor);
  } else if (factor && grad_factor.device().is_cpu() && *factor == 0) {
    return;
  }
  for (const Entry& entry : entries_) {
    const Tensor gradient = entry.parameter.grad();
    if (!gradient.defined()) continue;
    entry.refresh_master();
    update_for(entry, factor)
        .parts.push_back({entry.parameter, to_contiguous(gradient), entry.master, &entry.moments,
                          entry.rounding_block});
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
  if (device_lr_) {
    const auto updates = static_cast<int64_t>(device_updates_.item());
    for (const Entry& entry : entries_) *entry.updates.data<int64_t>() = updates;
  }
  for (const Entry& entry : entries_) {
    entry.refresh_master();
    if (entry.master) result.emplace_back(kMasterPrefix + entry.name, entry.master);
    const std::vector<std::string>& moments = moment_names_[static_cast<size_t>(entry.rule)];
    for (size_t i = 0; i < moments.size(); ++i) {
      result.emplace_back(moments[i] + "." + entry.name, entry.moments[i]);
    }
    result.emplace_back("updates." + entry.name, entry.updates);
  }
  return result;
}

}  // namespace trireme

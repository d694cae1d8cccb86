#include "core/optim/ema.h"

#include <algorithm>
#include <exception>

#include "core/autograd/no_grad.h"
#include "core/base/config.h"
#include "core/base/log.h"
#include "core/cuda/graph.h"
#include "core/tensor/allocator.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"
#include "kernels/optimizer_rules.h"

namespace trireme {

ExponentialMovingAverage::ExponentialMovingAverage(const StateDict& weights, EmaOptions options)
    : options_(options), updates_(zeros({}, {DType::kI64})) {
  require(options.decay >= 0 && options.decay < 1, "ema", "decay must be in [0, 1), got ",
          options.decay);
  const MemoryKindGuard kind(MemoryKind::kOptimizer);
  for (const auto& [name, weight] : weights) {
    require(weight.defined(), "ema", "weights must be defined, '", name, "' is not");
    if (!is_floating(weight.dtype())) continue;
    require(weight.is_contiguous(), "ema", "weights must be contiguous, '", name, "' is not");
    // A copy even where nothing is converted.
    const Tensor average = empty(weight.shape(), {acc_dtype(weight.dtype()), weight.device()});
    copy_inplace(average, weight.detach());
    entries_.push_back({name, weight, average});
  }
}

void ExponentialMovingAverage::update() {
  if constexpr (kHasCuda) cuda::refuse_while_capturing("ema", "call update() behind the replay");
  const auto n = static_cast<double>(++*updates_.data<int64_t>());
  const double decay =
      options_.warm_up ? std::min(options_.decay, (1 + n) / (10 + n)) : options_.decay;
  std::vector<const Entry*> left;
  for (const Entry& entry : entries_) left.push_back(&entry);
  while (!left.empty()) {
    // Those of one dtype and device together.
    const DType dtype = left.front()->weight.dtype();
    const Device device = left.front()->weight.device();
    const auto others = std::stable_partition(left.begin(), left.end(), [&](const Entry* e) {
      return e->weight.dtype() == dtype && e->weight.device() == device;
    });
    dispatch_floating("ema", dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      std::vector<kernels::StepSpan<T>> spans;
      for (auto e = left.begin(); e != others; ++e) {
        kernels::StepSpan<T> span{.count = (*e)->weight.numel(),
                                  .grad = (*e)->weight.template data<T>(),
                                  .param = nullptr};
        span.state[0] = (*e)->average.template data<Acc<T>>();
        spans.push_back(span);
      }
      on_device(device, [&](auto on) {
        kernels::step_all<T>(on, {.learning_rate = 1 - decay}, kernels::AverageRule{}, spans);
      });
    });
    left.erase(left.begin(), others);
  }
  for (const Entry& entry : entries_) entry.average.bump_version();
}

ExponentialMovingAverage::Applied::Applied(const ExponentialMovingAverage& of) {
  const NoGrad no_grad;
  for (const Entry& e : of.entries_) {
    own_.emplace_back(e.weight, clone_detached(e.weight));
    copy_inplace(e.weight, e.average);
  }
}

ExponentialMovingAverage::Applied::~Applied() {
  try {
    const NoGrad no_grad;
    for (const auto& [weight, own] : own_) copy_inplace(weight, own);
  } catch (const std::exception& error) {
    // Only a device that is lost cannot copy, and its weights are lost with it.
    log_error("ema: the weights could not be put back, ", error.what());
  }
}

StateDict ExponentialMovingAverage::averages() const {
  StateDict result;
  for (const Entry& e : entries_) result.emplace_back(e.name, e.average);
  return result;
}

StateDict ExponentialMovingAverage::state_dict() const {
  StateDict result;
  for (const Entry& e : entries_) result.emplace_back("ema." + e.name, e.average);
  result.emplace_back("ema.updates", updates_);
  return result;
}

}  // namespace trireme

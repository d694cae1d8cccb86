#include "core/optim/trust.h"

#include "core/optim/adam.h"
#include "core/tensor/create.h"
#include "kernels/trust_rules.h"

namespace trireme {
namespace {

/// Trust ratios by `measure`, then steps by `step`.
template <typename Measure, typename Step>
void step_in_two_passes(const char* op, const OptimizerUpdate& u, Adapts adapts,
                        const Measure& measure, const Step& step) {
  const Tensor ratios = empty({static_cast<int64_t>(u.parts.size())}, {DType::kF64, u.device()});
  u.on_spans(op, [&]<typename T>(auto on, const kernels::StepOptions& options,
                                 std::vector<kernels::StepSpan<T>>& spans) {
    for (size_t i = 0; i < spans.size(); ++i) {
      const bool adapted = adapts == Adapts::kAll || u.parts[i].parameter.rank() >= 2;
      spans[i].trust = adapted ? ratios.data<double>() + i : nullptr;
    }
    kernels::trust_ratios<T>(on, options, measure, spans);
    kernels::step_all<T>(on, options, step, spans);
  });
}

}  // namespace

Lamb::Lamb(std::vector<ParameterGroup> groups, LambOptions options)
    : Optimizer(std::move(groups), options.lr, {"exp_avg", "exp_avg_sq"}, options.master_weights),
      options_(options) {
  detail::check_betas("lamb", options.beta1, options.beta2, options.eps);
}

void Lamb::update(const Update& u) {
  const kernels::AdamRule adam{
      .beta1 = options_.beta1, .beta2 = options_.beta2, .eps = options_.eps};
  step_in_two_passes("lamb", u, options_.adapts, kernels::LambMomentsRule{adam},
                     kernels::LambStepRule{adam});
}

Lars::Lars(std::vector<ParameterGroup> groups, LarsOptions options)
    : Optimizer(std::move(groups), options.lr, {"momentum"}, options.master_weights),
      options_(options) {
  require(options.momentum >= 0 && options.momentum < 1, "lars", "momentum must be in [0, 1), got ",
          options.momentum);
  require(options.trust > 0 && options.eps >= 0, "lars",
          "trust must be positive and eps not negative, got ", options.trust, " and ", options.eps);
}

void Lars::update(const Update& u) {
  step_in_two_passes("lars", u, options_.adapts,
                     kernels::LarsNormsRule{.trust = options_.trust, .eps = options_.eps},
                     kernels::LarsStepRule{.momentum = options_.momentum});
}

}  // namespace trireme

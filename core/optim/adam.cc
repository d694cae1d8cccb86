#include "core/optim/adam.h"

#include "kernels/adamw.h"

namespace trireme {

Adam::Adam(std::vector<ParameterGroup> groups, AdamOptions options, Decay decay)
    : Optimizer(std::move(groups), options.lr, {"exp_avg", "exp_avg_sq"}, options.master_weights),
      options_(options),
      decay_(decay) {
  require(options.beta1 >= 0 && options.beta1 < 1 && options.beta2 >= 0 && options.beta2 < 1,
          "adam", "betas must be in [0, 1), got ", options.beta1, " and ", options.beta2);
  require(options.eps >= 0, "adam", "eps must not be negative, got ", options.eps);
}

void Adam::update(const Update& u) {
  const kernels::AdamStep step{.learning_rate = u.lr,
                               .beta1 = options_.beta1,
                               .beta2 = options_.beta2,
                               .eps = options_.eps,
                               .weight_decay = u.options.weight_decay,
                               .decay_form = decay_ == Decay::kDecoupled
                                                 ? kernels::WeightDecay::kDecoupled
                                                 : kernels::WeightDecay::kGradient,
                               .grad_factor = u.grad_factor,
                               .step = u.step,
                               .schedule = u.schedule};
  dispatch_floating("adam", u.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::vector<kernels::AdamSpan<T>> spans;
    spans.reserve(u.parts.size());
    for (const Part& part : u.parts) {
      spans.push_back({.count = part.parameter.numel(),
                       .grad = part.gradient.template data<T>(),
                       .param = part.parameter.template data<T>(),
                       .master = part.master ? part.master.template data<Acc<T>>() : nullptr,
                       .m = (*part.moments)[0].template data<Acc<T>>(),
                       .v = (*part.moments)[1].template data<Acc<T>>()});
    }
    on_device(u.device(), [&](auto device) { kernels::adamw<T>(device, step, spans); });
  });
}

}  // namespace trireme

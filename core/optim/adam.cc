#include "core/optim/adam.h"

#include "kernels/adamw.h"

namespace trireme {

Adam::Adam(std::vector<ParameterGroup> groups, AdamOptions options, Decay decay)
    : Optimizer(std::move(groups), options.lr, {"exp_avg", "exp_avg_sq"}),
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
                               .grad_scale = u.grad_scale,
                               .step = u.step};
  dispatch_floating("adam", u.parameter.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(u.parameter.device(), [&](auto device) {
      const kernels::AdamSpan<T> span{.count = u.parameter.numel(),
                                      .grad = u.gradient.data<T>(),
                                      .param = u.parameter.data<T>(),
                                      .master = nullptr,
                                      .m = u.moments[0].data<Acc<T>>(),
                                      .v = u.moments[1].data<Acc<T>>()};
      kernels::adamw<T>(device, step, {&span, 1});
    });
  });
}

}  // namespace trireme

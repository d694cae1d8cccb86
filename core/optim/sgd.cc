#include "core/optim/sgd.h"

#include "kernels/sgd.h"

namespace trireme {

Sgd::Sgd(std::vector<ParameterGroup> groups, SgdOptions options)
    : Optimizer(
          std::move(groups), options.lr,
          options.momentum > 0 ? std::vector<std::string>{"momentum"} : std::vector<std::string>{}),
      options_(options) {
  require(options.momentum >= 0 && options.momentum < 1, "sgd", "momentum must be in [0, 1), got ",
          options.momentum);
  require(!options.nesterov || (options.momentum > 0 && options.dampening == 0), "sgd",
          "nesterov needs momentum and no dampening, got momentum ", options.momentum,
          " and dampening ", options.dampening);
}

void Sgd::update(const Update& u) {
  const kernels::SgdStep step{
      .learning_rate = u.lr,
      .momentum = options_.momentum,
      .dampening = options_.dampening,
      .weight_decay = u.options.weight_decay,
      .form = options_.nesterov ? kernels::Momentum::kNesterov : kernels::Momentum::kPlain,
      .grad_scale = u.grad_scale,
      .is_first = u.step == 1};
  dispatch_floating("sgd", u.parameter.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(u.parameter.device(), [&](auto device) {
      const kernels::SgdSpan<T> span{
          .count = u.parameter.numel(),
          .grad = u.gradient.data<T>(),
          .param = u.parameter.data<T>(),
          .master = nullptr,
          .buffer = u.moments.empty() ? nullptr : u.moments[0].data<Acc<T>>()};
      kernels::sgd<T>(device, step, {&span, 1});
    });
  });
}

}  // namespace trireme

#include "core/optim/sgd.h"

#include "kernels/sgd.h"

namespace trireme {

Sgd::Sgd(std::vector<ParameterGroup> groups, SgdOptions options)
    : Optimizer(
          std::move(groups), options.lr,
          options.momentum > 0 ? std::vector<std::string>{"momentum"} : std::vector<std::string>{},
          options.master_weights),
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
      .grad_factor = u.grad_factor,
      .is_first = u.step == 1,
      .schedule = u.schedule};
  dispatch_floating("sgd", u.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::vector<kernels::SgdSpan<T>> spans;
    spans.reserve(u.parts.size());
    for (const Part& part : u.parts) {
      spans.push_back(
          {.count = part.parameter.numel(),
           .grad = part.gradient.template data<T>(),
           .param = part.parameter.template data<T>(),
           .master = part.master ? part.master.template data<Acc<T>>() : nullptr,
           .buffer = part.moments->empty() ? nullptr : (*part.moments)[0].template data<Acc<T>>()});
    }
    on_device(u.device(), [&](auto device) { kernels::sgd<T>(device, step, spans); });
  });
}

}  // namespace trireme

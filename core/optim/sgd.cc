#include "core/optim/sgd.h"

#include "kernels/optimizer_rules.h"

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
  if (options_.momentum == 0) return u.step_by("sgd", kernels::SgdRule{});
  u.step_by("sgd", kernels::MomentumRule{.momentum = options_.momentum,
                                         .dampening = options_.dampening,
                                         .form = options_.nesterov ? kernels::Momentum::kNesterov
                                                                   : kernels::Momentum::kPlain});
}

}  // namespace trireme

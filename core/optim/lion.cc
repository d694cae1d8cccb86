#include "core/optim/lion.h"

#include "core/optim/adam.h"
#include "kernels/optimizer_rules.h"

namespace trireme {

Lion::Lion(std::vector<ParameterGroup> groups, LionOptions options)
    : Optimizer(std::move(groups), options.lr, {"exp_avg"}, options.master_weights),
      options_(options) {
  detail::check_betas("lion", options.beta1, options.beta2);
}

void Lion::update(const Update& u) {
  u.step_by("lion", kernels::LionRule{.beta1 = options_.beta1, .beta2 = options_.beta2});
}

}  // namespace trireme

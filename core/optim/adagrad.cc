#include "core/optim/adagrad.h"

#include "core/tensor/copy.h"
#include "kernels/optimizer_rules.h"

namespace trireme {

Adagrad::Adagrad(std::vector<ParameterGroup> groups, AdagradOptions options)
    : Optimizer(std::move(groups), options.lr, {"sum"}, options.master_weights), options_(options) {
  require(options.lr_decay >= 0 && options.initial_sum >= 0 && options.eps >= 0, "adagrad",
          "lr_decay, initial_sum and eps must not be negative, got ", options.lr_decay, ", ",
          options.initial_sum, " and ", options.eps);
  for (const auto& [name, state] : state_dict()) {
    if (name.starts_with("sum.")) fill_inplace(state, options.initial_sum);
  }
}

void Adagrad::update(const Update& u) {
  u.step_by("adagrad", kernels::AdagradRule{.eps = options_.eps, .lr_decay = options_.lr_decay});
}

}  // namespace trireme

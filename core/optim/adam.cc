#include "core/optim/adam.h"

#include "kernels/optimizer_rules.h"

namespace trireme {

Adam::Adam(std::vector<ParameterGroup> groups, AdamOptions options, Decay decay)
    : Optimizer(std::move(groups), options.lr, {"exp_avg", "exp_avg_sq"}, options.master_weights),
      options_(options),
      decay_(decay) {
  detail::check_betas("adam", options.beta1, options.beta2, options.eps);
}

void Adam::update(const Update& u) {
  const auto form = decay_ == Decay::kDecoupled ? kernels::WeightDecay::kDecoupled
                                                : kernels::WeightDecay::kGradient;
  u.step_by("adam", kernels::AdamRule{.beta1 = options_.beta1,
                                      .beta2 = options_.beta2,
                                      .eps = options_.eps,
                                      .decay_form = form});
}

void detail::check_betas(const char* op, double beta1, double beta2, double eps) {
  require(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1, op, "betas must be in [0, 1), got ",
          beta1, " and ", beta2);
  require(eps >= 0, op, "eps must not be negative, got ", eps);
}

}  // namespace trireme

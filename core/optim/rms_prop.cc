#include "core/optim/rms_prop.h"

#include "kernels/optimizer_rules.h"

namespace trireme {
namespace {

// In the order of the rule's states.
std::vector<std::string> moments(const RmsPropOptions& options) {
  std::vector<std::string> names{"square_avg"};
  if (options.centered) names.emplace_back("grad_avg");
  if (options.momentum > 0) names.emplace_back("momentum");
  return names;
}

}  // namespace

RmsProp::RmsProp(std::vector<ParameterGroup> groups, RmsPropOptions options)
    : Optimizer(std::move(groups), options.lr, moments(options), options.master_weights),
      options_(options) {
  require(options.alpha >= 0 && options.alpha < 1 && options.momentum >= 0 && options.momentum < 1,
          "rms_prop", "alpha and momentum must be in [0, 1), got ", options.alpha, " and ",
          options.momentum);
  require(options.eps >= 0, "rms_prop", "eps must not be negative, got ", options.eps);
}

void RmsProp::update(const Update& u) {
  const auto run = [&]<typename Rule>(Rule rule) {
    rule.alpha = options_.alpha;
    rule.eps = options_.eps;
    rule.momentum = options_.momentum;
    u.step_by("rms_prop", rule);
  };
  if (options_.centered) {
    options_.momentum > 0 ? run(kernels::RmsPropCenteredMomentum{})
                          : run(kernels::RmsPropCentered{});
  } else {
    options_.momentum > 0 ? run(kernels::RmsPropMomentum{}) : run(kernels::RmsProp{});
  }
}

}  // namespace trireme

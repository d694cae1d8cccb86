#include "core/amp/grad_scaler.h"

#include <cmath>

#include "core/ops/ops.h"

namespace trireme {

GradScaler::GradScaler(GradScalerOptions options) : options_(options) {
  require(options.growth >= 1 && options.backoff > 0 && options.backoff < 1 &&
              options.growth_interval >= 1,
          "grad_scaler", "needs growth >= 1, 0 < backoff < 1 and an interval of at least 1, got ",
          options.growth, ", ", options.backoff, " and ", options.growth_interval);
  set_state({.scale = options.initial_scale});
}

Tensor GradScaler::scaled(const Tensor& loss) const { return mul(loss, state_.scale); }

void GradScaler::update(bool finite) {
  if (!finite) {
    state_.scale *= options_.backoff;
    state_.finite_steps = 0;
    ++state_.skipped_steps;
  } else if (++state_.finite_steps == options_.growth_interval) {
    // An infinite scale would never come down again: the loss itself is f32.
    const double grown = state_.scale * options_.growth;
    if (grown <= 0x1p100) state_.scale = grown;
    state_.finite_steps = 0;
  }
}

void GradScaler::set_state(const State& state) {
  require(std::isfinite(state.scale) && state.scale > 0 && state.finite_steps >= 0 &&
              state.skipped_steps >= 0,
          "grad_scaler", "the scale must be positive and finite, counts not negative, got ",
          state.scale, ", ", state.finite_steps, " and ", state.skipped_steps);
  state_ = state;
}

}  // namespace trireme

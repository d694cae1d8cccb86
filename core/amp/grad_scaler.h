// GradScaler: keeps the small gradients of f16 above zero.
//
//   backward(scaler.scaled(loss));  // gradients are scale() times too large
//   const GradientNorm g = clip_grad_norm(parameters, max_norm, scaler.scale());
//   optimizer.step(g.factor);  // 0, which changes nothing, where gradients overflowed
//   scaler.update(std::isfinite(g.norm.item()));
//
// The scale falls when gradients overflow and rises again after many steps without: so it stays
// just below what f16 can hold. On a GPU item() waits; a DelayedScalar that is read a step later
// does not, and the scale then changes a step later. All ranks must update alike: averaged
// gradients overflow on all of them. Micikevicius et al., "Mixed precision training", 2018. Not
// thread-safe.

#pragma once

#include <cstdint>

#include "core/tensor/tensor.h"

namespace trireme {

struct GradScalerOptions {
  double initial_scale = 65536;
  double growth = 2;     // factor after growth_interval finite steps in a row
  double backoff = 0.5;  // factor after a step that was not finite
  int64_t growth_interval = 2000;
};

class GradScaler {
 public:
  /// Requires initial_scale > 0, growth >= 1, 0 < backoff < 1, growth_interval >= 1.
  explicit GradScaler(GradScalerOptions options = {});

  double scale() const { return state_.scale; }
  /// loss times scale(), with history.
  Tensor scaled(const Tensor& loss) const;
  /// Once per step, whether it was done (gradients finite) or left out.
  void update(bool finite);

  /// Everything that changes; belongs into a checkpoint.
  struct State {
    double scale = 0;
    int64_t finite_steps = 0;   // in a row, since the scale changed
    int64_t skipped_steps = 0;  // in all
    bool operator==(const State&) const = default;
  };
  const State& state() const { return state_; }
  /// Requires scale > 0 and counts that are not negative.
  void set_state(const State& state);

 private:
  GradScalerOptions options_;
  State state_;
};

}  // namespace trireme

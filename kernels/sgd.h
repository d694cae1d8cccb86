// Gradient descent with momentum: one fused pass over flat arrays.

#pragma once

#include <cstdint>

#include "kernels/device_tag.h"

namespace trireme::kernels {

enum class Momentum { kPlain, kNesterov };

struct SgdStep {
  double learning_rate = 1e-2;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;  // times the parameter, added to the gradient
  Momentum form = Momentum::kPlain;
  /// Multiplies every gradient as it is read.
  double grad_scale = 1;
  /// The first step starts the momentum buffer with the gradient itself, without dampening.
  bool is_first = false;
};

/// With g = grad_scale grad + decay param and momentum > 0:
///   buffer = momentum buffer + (1 - dampening) g;  g = buffer, or g + momentum buffer (Nesterov)
/// then param -= lr g. `buffer` is null when momentum is 0. Arrays of `count` elements that do not
/// overlap.
void sgd(Cpu, const SgdStep& step, int64_t count, const float* grad, float* param, float* buffer);
void sgd(Cpu, const SgdStep& step, int64_t count, const double* grad, double* param,
         double* buffer);

}  // namespace trireme::kernels

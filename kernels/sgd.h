// Gradient descent with momentum: one fused pass over flat arrays.

#pragma once

#include <cstdint>
#include <span>

#include "core/base/device_tag.h"
#include "core/base/half.h"
#include "core/base/host_device.h"

namespace trireme::kernels {

enum class Momentum { kPlain, kNesterov };

struct SgdStep {
  double learning_rate = 1e-2;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;  // times the parameter, added to the gradient
  Momentum form = Momentum::kPlain;
  const double* grad_factor = nullptr;  // as AdamStep::grad_factor
  /// The first step starts the momentum buffer with the gradient itself, without dampening.
  bool is_first = false;
  const double* schedule = nullptr;  // as AdamStep::schedule; the second number says what is first

  TRIREME_HD double rate_now() const {
    return schedule ? learning_rate * schedule[0] : learning_rate;
  }
  TRIREME_HD bool is_first_now() const { return schedule ? schedule[1] <= 1 : is_first; }
};

/// One parameter (or a run of them) of `count` elements; the arrays do not overlap.
template <typename T>
struct SgdSpan {
  int64_t count;
  const T* grad;
  T* param;
  Acc<T>* master;  // as AdamSpan::master
  Acc<T>* buffer;  // null when momentum is 0
};

/// With g = *grad_factor grad + decay param and momentum > 0:
///   buffer = momentum buffer + (1 - dampening) g;  g = buffer, or g + momentum buffer (Nesterov)
/// then param -= lr g, over all spans in one pass.
template <typename T>
void sgd(Cpu, const SgdStep& step, std::span<const SgdSpan<T>> spans);
template <typename T>
void sgd(Cuda, const SgdStep& step, std::span<const SgdSpan<T>> spans);

}  // namespace trireme::kernels

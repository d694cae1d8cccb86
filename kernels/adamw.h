// Adam and AdamW: one fused pass over flat arrays.

#pragma once

#include <cstdint>
#include <span>

#include "core/base/device_tag.h"
#include "core/base/half.h"
#include "core/base/host_device.h"

namespace trireme::kernels {

enum class WeightDecay {
  kDecoupled,  // AdamW: the parameter shrinks by lr * decay itself
  kGradient,   // Adam with L2: decay * parameter is added to the gradient
};

struct AdamStep {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  WeightDecay decay_form = WeightDecay::kDecoupled;
  /// Multiplies every gradient as it is read, so that clipping and loss scaling need no pass of
  /// their own. In the device's memory, so that nobody waits for the norm; null: 1. Where it is 0
  /// the step leaves everything unchanged: gradients were not finite (norm_to_factor in
  /// kernels/global_norm.h).
  const double* grad_factor = nullptr;
  /// Number of this step, from 1: corrects the bias of the averages, which start at zero.
  int64_t step = 1;
  /// Two numbers in the device's memory, for a step that is captured once and replayed: the first
  /// multiplies learning_rate, the second stands for `step`. Null: none.
  const double* schedule = nullptr;

  TRIREME_HD double rate_now() const {
    return schedule ? learning_rate * schedule[0] : learning_rate;
  }
  TRIREME_HD double number_now() const {
    return schedule ? schedule[1] : static_cast<double>(step);
  }
};

/// One parameter (or a run of them) of `count` elements; the arrays do not overlap.
template <typename T>
struct AdamSpan {
  int64_t count;
  const T* grad;
  T* param;
  /// For 16-bit parameters: the same in f32, which is what is stepped; `param` receives it rounded.
  /// Null: `param` itself is stepped.
  Acc<T>* master;
  Acc<T>* m;
  Acc<T>* v;
};

/// With g = *grad_factor grad (+ decay param):
///   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
///   param -= lr (m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps) (+ decay param))
/// over all spans in one pass: four arrays are read and three written, once (with a master five and
/// four). Kingma, Ba, "Adam", 2015; Loshchilov, Hutter, "Decoupled weight decay regularization",
/// 2019.
template <typename T>
void adamw(Cpu, const AdamStep& step, std::span<const AdamSpan<T>> spans);
template <typename T>
void adamw(Cuda, const AdamStep& step, std::span<const AdamSpan<T>> spans);

}  // namespace trireme::kernels

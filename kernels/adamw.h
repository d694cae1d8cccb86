// Adam and AdamW: one fused pass over flat arrays.

#pragma once

#include <cstdint>

#include "kernels/device_tag.h"

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
  /// Multiplies every gradient as it is read: clipping and loss scaling need no pass of their own.
  double grad_scale = 1;
  /// Number of this step, from 1: corrects the bias of the averages, which start at zero.
  int64_t step = 1;
};

/// With g = grad_scale grad (+ decay param):
///   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
///   param -= lr (m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps) (+ decay param))
/// Arrays of `count` elements that do not overlap. Reads four arrays and writes three, once.
/// Kingma, Ba, "Adam", 2015; Loshchilov, Hutter, "Decoupled weight decay regularization", 2019.
void adamw(Cpu, const AdamStep& step, int64_t count, const float* grad, float* param, float* m,
           float* v);
void adamw(Cpu, const AdamStep& step, int64_t count, const double* grad, double* param, double* m,
           double* v);

}  // namespace trireme::kernels

// Gradient clipping.

#pragma once

#include "core/tensor/state_dict.h"

namespace trireme {

/// L2 norm over all gradients of `parameters`, accumulated in f64. One read of the gradients; not
/// finite exactly when some gradient is not.
double grad_norm(const StateDict& parameters);

/// The factor that brings gradients of norm `norm` down to at most `max_norm`: pass it to
/// Optimizer::step, so that clipping costs no pass over the gradients. max_norm <= 0 means no
/// limit. A norm that is not finite gives 1: the caller decides what to do with such gradients.
double clip_factor(double norm, double max_norm);

/// Limits every gradient element to [-limit, limit], in place. Requires limit > 0.
void clip_grad_value(const StateDict& parameters, double limit);

}  // namespace trireme

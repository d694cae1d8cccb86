// The global gradient norm, and gradient clipping.

#pragma once

#include "core/tensor/state_dict.h"

namespace trireme {

/// What is known of all gradients together. Scalars in f64 where the gradients lie: on a CUDA
/// device they are computed behind backward, and only reading them waits (DelayedScalar does not).
struct GradientNorm {
  Tensor norm;    // L2 norm over all gradients; not finite exactly when some gradient is not
  Tensor factor;  // for Optimizer::step
};

/// What becomes of a step whose gradients are not all finite.
enum class NonFinite {
  kSkip,    // factor 0, with which an optimizer changes nothing; nobody waits
  kError,   // Error that names the first parameter whose gradient is at fault; waits for the device
  kIgnore,  // they are applied as they are, unclipped
};

/// The L2 norm over all gradients of `parameters`, accumulated in f64, and the factor that brings
/// it down to at most `max_norm` (<= 0: no limit), so that clipping costs no pass over the
/// gradients:
///
///   const GradientNorm g = clip_grad_norm(parameters, 1.0);
///   optimizer.step(g.factor);
///
/// The gradients themselves stay as they are: one read of them. Gradients of a loss that was
/// multiplied by `loss_scale` (core/amp/grad_scaler.h) are taken as that much smaller. Where the
/// norm is not finite, `policy` decides. Requires all gradients on one device.
GradientNorm clip_grad_norm(const StateDict& parameters, double max_norm, double loss_scale = 1,
                            NonFinite policy = NonFinite::kSkip);

/// The norm alone. Waits for a CUDA device.
double grad_norm(const StateDict& parameters);

/// Limits every gradient element to [-limit, limit], in place: infinities become the limit, NaN
/// stays. clip_grad_norm before it tells whether there were any. Requires limit > 0.
void clip_grad_value(const StateDict& parameters, double limit);

}  // namespace trireme

// Update rules of single elements. In each, g is the gradient times *grad_factor, p the parameter,
// lr the learning rate, decay the weight decay.

#pragma once

#include <cmath>

#include "kernels/optimizer_step.h"

namespace trireme::kernels {

enum class WeightDecay {
  kDecoupled,  // the parameter shrinks by lr * decay itself
  kGradient,   // L2: decay * parameter is added to the gradient
};

/// p -= lr (g + decay p)
struct SgdRule {
  static constexpr int kStates = 0;
  static constexpr bool kStepsStates = false, kGradient = true;
  static constexpr Use kParameter = Use::kSteps;

  template <typename A>
  struct Element {
    A rate, decay;
    Element() = default;
    TRIREME_HD Element(const StepOptions& s, const SgdRule&)
        : rate(static_cast<A>(s.rate_now())), decay(static_cast<A>(s.weight_decay)) {}
    TRIREME_HD A step(A g, A p, A /*trust*/, A* /*state*/) const {
      return p - rate * (g + decay * p);
    }
  };
};

enum class Momentum { kPlain, kNesterov };

/// With g = g + decay p:
///   buffer = momentum buffer + (1 - dampening) g;  p -= lr (buffer, or g + momentum buffer)
/// The first step starts the buffer with g itself, whatever it held. Sutskever et al., "On the
/// importance of initialization and momentum in deep learning", 2013.
struct MomentumRule {
  double momentum = 0.9;
  double dampening = 0;
  Momentum form = Momentum::kPlain;
  static constexpr int kStates = 1;
  static constexpr bool kStepsStates = true, kGradient = true;
  static constexpr Use kParameter = Use::kSteps;

  template <typename A>
  struct Element {
    A rate, decay, momentum, fresh;
    bool nesterov, first;
    Element() = default;
    TRIREME_HD Element(const StepOptions& s, const MomentumRule& r)
        : rate(static_cast<A>(s.rate_now())),
          decay(static_cast<A>(s.weight_decay)),
          momentum(static_cast<A>(r.momentum)),
          nesterov(r.form == Momentum::kNesterov),
          first(s.number_now() <= 1) {
      fresh = static_cast<A>(first ? 1 : 1 - r.dampening);
    }
    TRIREME_HD A step(A g, A p, A /*trust*/, A* state) const {
      g += decay * p;
      // A fresh buffer may hold anything, NaN included.
      state[0] = (first ? A(0) : momentum * state[0]) + fresh * g;
      return p - rate * (nesterov ? g + momentum * state[0] : state[0]);
    }
  };
};

/// Adam (kGradient: g = g + decay p) and AdamW. States m and v:
///   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
///   p -= lr (m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps) (+ decay p))
/// Kingma, Ba, "Adam", 2015; Loshchilov, Hutter, "Decoupled weight decay regularization", 2019.
struct AdamRule {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  WeightDecay decay_form = WeightDecay::kDecoupled;
  static constexpr int kStates = 2;
  static constexpr bool kStepsStates = true, kGradient = true;
  static constexpr Use kParameter = Use::kSteps;

  template <typename A>
  struct Element {
    A beta1, beta2, rest1, rest2, rate, root, eps, l2, keep;
    Element() = default;
    TRIREME_HD Element(const StepOptions& s, const AdamRule& r) {
      const bool decoupled = r.decay_form == WeightDecay::kDecoupled;
      const double number = s.number_now(), lr = s.rate_now();
      beta1 = static_cast<A>(r.beta1);
      beta2 = static_cast<A>(r.beta2);
      rest1 = static_cast<A>(1 - r.beta1);
      rest2 = static_cast<A>(1 - r.beta2);
      rate = static_cast<A>(lr / (1 - std::pow(r.beta1, number)));
      root = static_cast<A>(1 / std::sqrt(1 - std::pow(r.beta2, number)));
      eps = static_cast<A>(r.eps);
      l2 = static_cast<A>(decoupled ? 0 : s.weight_decay);
      keep = static_cast<A>(decoupled ? 1 - lr * s.weight_decay : 1);
    }
    TRIREME_HD A step(A g, A p, A /*trust*/, A* state) const {
      g += l2 * p;
      state[0] = beta1 * state[0] + rest1 * g;
      state[1] = beta2 * state[1] + rest2 * g * g;
      return keep * p - rate * state[0] / (std::sqrt(state[1]) * root + eps);
    }
  };
};

/// With g = g + decay p and the state `sum`:
///   sum += g^2;  p -= lr / (1 + (step - 1) lr_decay) g / (sqrt(sum) + eps)
/// Duchi, Hazan, Singer, "Adaptive subgradient methods for online learning and stochastic
/// optimization", 2011.
struct AdagradRule {
  double eps = 1e-10;
  double lr_decay = 0;
  static constexpr int kStates = 1;
  static constexpr bool kStepsStates = true, kGradient = true;
  static constexpr Use kParameter = Use::kSteps;

  template <typename A>
  struct Element {
    A rate, decay, eps;
    Element() = default;
    TRIREME_HD Element(const StepOptions& s, const AdagradRule& r)
        : rate(static_cast<A>(s.rate_now() / (1 + (s.number_now() - 1) * r.lr_decay))),
          decay(static_cast<A>(s.weight_decay)),
          eps(static_cast<A>(r.eps)) {}
    TRIREME_HD A step(A g, A p, A /*trust*/, A* state) const {
      g += decay * p;
      state[0] += g * g;
      return p - rate * g / (std::sqrt(state[0]) + eps);
    }
  };
};

/// With g = g + decay p and the states v, then (centered) the mean gradient, then (momentum) the
/// buffer:
///   v = alpha v + (1 - alpha) g^2;  mean = alpha mean + (1 - alpha) g
///   d = g / (sqrt(v - mean^2) + eps);  buffer = momentum buffer + d;  p -= lr (d, or buffer)
/// Tieleman, Hinton, "Lecture 6.5: RMSProp", 2012; centered: Graves, "Generating sequences with
/// recurrent neural networks", 2013.
template <bool kCentered, bool kMomentum>
struct RmsPropRule {
  double alpha = 0.99;
  double eps = 1e-8;
  double momentum = 0;
  static constexpr int kStates = 1 + kCentered + kMomentum;
  static constexpr bool kStepsStates = true, kGradient = true;
  static constexpr Use kParameter = Use::kSteps;

  template <typename A>
  struct Element {
    A rate, decay, alpha, rest, eps, momentum;
    Element() = default;
    TRIREME_HD Element(const StepOptions& s, const RmsPropRule& r)
        : rate(static_cast<A>(s.rate_now())),
          decay(static_cast<A>(s.weight_decay)),
          alpha(static_cast<A>(r.alpha)),
          rest(static_cast<A>(1 - r.alpha)),
          eps(static_cast<A>(r.eps)),
          momentum(static_cast<A>(r.momentum)) {}
    TRIREME_HD A step(A g, A p, A /*trust*/, A* state) const {
      g += decay * p;
      state[0] = alpha * state[0] + rest * g * g;
      A square = state[0];
      if constexpr (kCentered) {
        state[1] = alpha * state[1] + rest * g;
        // Rounding may leave less than nothing of a variance of 0.
        square -= state[1] * state[1];
        square = square < A(0) ? A(0) : square;
      }
      A d = g / (std::sqrt(square) + eps);
      if constexpr (kMomentum) d = state[kStates - 1] = momentum * state[kStates - 1] + d;
      return p - rate * d;
    }
  };
};

/// With the state m:
///   p -= lr (sign(beta1 m + (1 - beta1) g) + decay p);  m = beta2 m + (1 - beta2) g
/// Chen et al., "Symbolic discovery of optimization algorithms", 2023.
struct LionRule {
  double beta1 = 0.9;
  double beta2 = 0.99;
  static constexpr int kStates = 1;
  static constexpr bool kStepsStates = true, kGradient = true;
  static constexpr Use kParameter = Use::kSteps;

  template <typename A>
  struct Element {
    A rate, keep, beta1, rest1, beta2, rest2;
    Element() = default;
    TRIREME_HD Element(const StepOptions& s, const LionRule& r)
        : rate(static_cast<A>(s.rate_now())),
          keep(static_cast<A>(1 - s.rate_now() * s.weight_decay)),
          beta1(static_cast<A>(r.beta1)),
          rest1(static_cast<A>(1 - r.beta1)),
          beta2(static_cast<A>(r.beta2)),
          rest2(static_cast<A>(1 - r.beta2)) {}
    TRIREME_HD A step(A g, A p, A /*trust*/, A* state) const {
      const A c = beta1 * state[0] + rest1 * g;
      state[0] = beta2 * state[0] + rest2 * g;
      // NaN stays NaN, as everywhere.
      const A sign = c > A(0) ? A(1) : c < A(0) ? A(-1) : c;
      return keep * p - rate * sign;
    }
  };
};

/// The first half of Muon, states `buffer` and `direction`; the parameter is not touched:
///   buffer = momentum buffer + g;  direction = g + momentum buffer, or buffer
struct MuonMomentumRule {
  double momentum = 0.95;
  Momentum form = Momentum::kNesterov;
  static constexpr int kStates = 2;
  static constexpr bool kStepsStates = true, kGradient = true;
  static constexpr Use kParameter = Use::kNone;

  template <typename A>
  struct Element {
    A momentum;
    bool nesterov;
    Element() = default;
    TRIREME_HD Element(const StepOptions&, const MuonMomentumRule& r)
        : momentum(static_cast<A>(r.momentum)), nesterov(r.form == Momentum::kNesterov) {}
    TRIREME_HD A step(A g, A p, A /*trust*/, A* state) const {
      state[0] = momentum * state[0] + g;
      state[1] = nesterov ? g + momentum * state[0] : state[0];
      return p;
    }
  };
};

/// A step along a given direction, the state: p -= lr (direction + decay p). No gradient is read;
/// grad_factor only says whether there is a step.
struct DirectionRule {
  static constexpr int kStates = 1;
  static constexpr bool kStepsStates = false, kGradient = false;
  static constexpr Use kParameter = Use::kSteps;

  template <typename A>
  struct Element {
    A rate, keep;
    Element() = default;
    TRIREME_HD Element(const StepOptions& s, const DirectionRule&)
        : rate(static_cast<A>(s.rate_now())),
          keep(static_cast<A>(1 - s.rate_now() * s.weight_decay)) {}
    TRIREME_HD A step(A /*g*/, A p, A /*trust*/, A* state) const {
      return keep * p - rate * state[0];
    }
  };
};

/// The moving average of what stands in the gradient's place: average += lr (g - average).
struct AverageRule {
  static constexpr int kStates = 1;
  static constexpr bool kStepsStates = true, kGradient = true;
  static constexpr Use kParameter = Use::kNone;

  template <typename A>
  struct Element {
    A rate;
    Element() = default;
    TRIREME_HD Element(const StepOptions& s, const AverageRule&)
        : rate(static_cast<A>(s.rate_now())) {}
    TRIREME_HD A step(A g, A p, A /*trust*/, A* state) const {
      state[0] += rate * (g - state[0]);
      return p;
    }
  };
};

using RmsProp = RmsPropRule<false, false>;
using RmsPropMomentum = RmsPropRule<false, true>;
using RmsPropCentered = RmsPropRule<true, false>;
using RmsPropCenteredMomentum = RmsPropRule<true, true>;

/// The rules of step_all() in this file, for the lists of instances.
#define TRIREME_OPTIMIZER_RULES(X) \
  X(SgdRule);                      \
  X(MomentumRule);                 \
  X(AdamRule);                     \
  X(AdagradRule);                  \
  X(RmsProp);                      \
  X(RmsPropMomentum);              \
  X(RmsPropCentered);              \
  X(RmsPropCenteredMomentum);      \
  X(LionRule);                     \
  X(MuonMomentumRule);             \
  X(DirectionRule);                \
  X(AverageRule)

}  // namespace trireme::kernels

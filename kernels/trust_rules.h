// Rules that step each tensor by as much as its own size allows: LAMB and LARS, for large batches.
// Each is two passes: trust_ratios() with the first rule, then step_all() with the second.

#pragma once

#include <cmath>

#include "kernels/optimizer_rules.h"

namespace trireme::kernels {

/// The first pass of LAMB: states m and v as Adam's; measures
///   u = m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps) + decay p
/// The trust ratio is |p| / |u|, or 1 where either is 0. You et al., "Large batch optimization for
/// deep learning: training BERT in 76 minutes", 2020.
struct LambMomentsRule {
  AdamRule adam = {};
  static constexpr int kStates = 2;
  static constexpr bool kStepsStates = true, kGradient = true;
  static constexpr Use kParameter = Use::kReads;

  template <typename A>
  struct Element {
    A beta1, beta2, rest1, rest2, scale, root, eps, decay;
    Element() = default;
    TRIREME_HD Element(const StepOptions& s, const LambMomentsRule& r)
        : beta1(static_cast<A>(r.adam.beta1)),
          beta2(static_cast<A>(r.adam.beta2)),
          rest1(static_cast<A>(1 - r.adam.beta1)),
          rest2(static_cast<A>(1 - r.adam.beta2)),
          scale(static_cast<A>(1 / (1 - std::pow(r.adam.beta1, s.number_now())))),
          root(static_cast<A>(1 / std::sqrt(1 - std::pow(r.adam.beta2, s.number_now())))),
          eps(static_cast<A>(r.adam.eps)),
          decay(static_cast<A>(s.weight_decay)) {}
    TRIREME_HD A direction(A p, const A* state) const {
      return scale * state[0] / (std::sqrt(state[1]) * root + eps) + decay * p;
    }
    TRIREME_HD A measure(A g, A p, A* state) const {
      state[0] = beta1 * state[0] + rest1 * g;
      state[1] = beta2 * state[1] + rest2 * g * g;
      return direction(p, state);
    }
    TRIREME_HD double trust(double p_squares, double u_squares) const {
      return p_squares > 0 && u_squares > 0 ? std::sqrt(p_squares / u_squares) : 1;
    }
  };
};

/// The second pass: p -= lr trust u.
struct LambStepRule {
  AdamRule adam = {};
  static constexpr int kStates = 2;
  static constexpr bool kStepsStates = false, kGradient = false;
  static constexpr Use kParameter = Use::kSteps;

  template <typename A>
  struct Element {
    LambMomentsRule::Element<A> moments;
    A rate;
    Element() = default;
    TRIREME_HD Element(const StepOptions& s, const LambStepRule& r)
        : moments(s, {r.adam}), rate(static_cast<A>(s.rate_now())) {}
    TRIREME_HD A step(A /*g*/, A p, A trust, A* state) const {
      return p - rate * trust * moments.direction(p, state);
    }
  };
};

/// The first pass of LARS: the trust ratio is trust |p| / (|g| + decay |p| + eps), or 1 where
/// either norm is 0. You, Gitman, Ginsburg, "Large batch training of convolutional networks", 2017.
struct LarsNormsRule {
  double trust = 0.001;
  double eps = 1e-8;
  static constexpr int kStates = 0;
  static constexpr bool kStepsStates = false, kGradient = true;
  static constexpr Use kParameter = Use::kReads;

  template <typename A>
  struct Element {
    double factor, decay, eps;
    Element() = default;
    TRIREME_HD Element(const StepOptions& s, const LarsNormsRule& r)
        : factor(r.trust), decay(s.weight_decay), eps(r.eps) {}
    TRIREME_HD A measure(A g, A /*p*/, A* /*state*/) const { return g; }
    TRIREME_HD double trust(double p_squares, double g_squares) const {
      const double p = std::sqrt(p_squares), g = std::sqrt(g_squares);
      return p > 0 && g > 0 ? factor * p / (g + decay * p + eps) : 1;
    }
  };
};

/// The second pass: buffer = momentum buffer + lr trust (g + decay p);  p -= buffer.
struct LarsStepRule {
  double momentum = 0.9;
  static constexpr int kStates = 1;
  static constexpr bool kStepsStates = true, kGradient = true;
  static constexpr Use kParameter = Use::kSteps;

  template <typename A>
  struct Element {
    A rate, decay, momentum;
    Element() = default;
    TRIREME_HD Element(const StepOptions& s, const LarsStepRule& r)
        : rate(static_cast<A>(s.rate_now())),
          decay(static_cast<A>(s.weight_decay)),
          momentum(static_cast<A>(r.momentum)) {}
    TRIREME_HD A step(A g, A p, A trust, A* state) const {
      state[0] = momentum * state[0] + rate * trust * (g + decay * p);
      return p - state[0];
    }
  };
};

}  // namespace trireme::kernels

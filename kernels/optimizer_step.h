// One step of an optimizer: fused passes over the arrays of many parameters.
//
// A rule (optimizer_rules.h, trust_rules.h) says what happens to one element; the loop over
// elements, spans and threads is the same for all of them, and one kernel per rule on CUDA. A rule
// is a struct of numbers with
//   kStates         arrays beside the parameter that it keeps, at most 3
//   kStepsStates    whether it writes them
//   kGradient       whether it reads the gradient
//   kParameter      whether it reads the parameter, or steps it
//   Element<A>      the same in the arithmetic of the kernel, made once per step, in f64:
//     Element(const StepOptions&, const Rule&)
//     A step(A g, A p, A trust, A* state) const   returns what becomes of p

#pragma once

#include <cstdint>
#include <span>

#include "core/base/device_tag.h"
#include "core/base/half.h"
#include "core/base/host_device.h"

namespace trireme::kernels {

/// What a step needs whatever its rule.
struct StepOptions {
  double learning_rate = 1e-3;
  double weight_decay = 0;
  /// Multiplies every gradient as it is read, so that clipping and loss scaling need no pass of
  /// their own. In the device's memory, so that nobody waits for the norm; null: 1. Where it is 0
  /// the step leaves everything unchanged: gradients were not finite (norm_to_factor in
  /// kernels/global_norm.h).
  const double* grad_factor = nullptr;
  /// Number of this step, from 1.
  int64_t step = 1;
  /// Two numbers in the device's memory, for a step that is captured once and replayed: the first
  /// multiplies learning_rate, the second stands for `step`. Null: none.
  const double* schedule = nullptr;
  /// Above 0: bf16 parameters without master are rounded at random (stochastic_rounding.h). As many
  /// random blocks as all parameters of one step take; each step has its own.
  uint64_t rounding_blocks = 0;

  TRIREME_HD double rate_now() const {
    return schedule ? learning_rate * schedule[0] : learning_rate;
  }
  TRIREME_HD double number_now() const {
    return schedule ? schedule[1] : static_cast<double>(step);
  }
  /// The first random block of this step.
  TRIREME_HD uint64_t rounding_first() const {
    return rounding_blocks * static_cast<uint64_t>(number_now());
  }
};

enum class Use { kNone, kReads, kSteps };

inline constexpr int kMostStates = 3;

/// One parameter (or a run of them) of `count` elements; the arrays do not overlap.
template <typename T>
struct StepSpan {
  int64_t count;
  const T* grad;
  T* param;
  /// For 16-bit parameters: the same in f32, which is what is stepped; `param` receives it rounded.
  /// Null: `param` itself is stepped.
  Acc<T>* master = nullptr;
  Acc<T>* state[kMostStates] = {};  // the first Rule::kStates
  double* trust = nullptr;          // trust_ratios' result for this span; null: 1
  uint64_t rounding_block = 0;      // of element 0 in a step; elements share a block by four
};

/// Steps all spans by `rule` in one pass: each array of the rule is read and written once. Rounds
/// 16-bit parameters to nearest even unless StepOptions says otherwise.
template <typename T, typename Rule>
void step_all(Cpu, const StepOptions& options, const Rule& rule,
              std::span<const StepSpan<T>> spans);
template <typename T, typename Rule>
void step_all(Cuda, const StepOptions& options, const Rule& rule,
              std::span<const StepSpan<T>> spans);

/// *trust = rule.trust(|p|^2, |q|^2) for each span that has one, with norms over the whole span,
/// where q is what the rule's element measures; it may step states on its way. Sums are formed in
/// f64 in an order that does not depend on the threads, and nobody waits for them. Rule as above,
/// but for
///   A measure(A g, A p, A* state) const           q
///   double trust(double p_squares, double q_squares) const
/// in place of Element::step. Spans without `trust` are passed over by a rule without states.
template <typename T, typename Rule>
void trust_ratios(Cpu, const StepOptions& options, const Rule& rule,
                  std::span<const StepSpan<T>> spans);
template <typename T, typename Rule>
void trust_ratios(Cuda, const StepOptions& options, const Rule& rule,
                  std::span<const StepSpan<T>> spans);

}  // namespace trireme::kernels

// The passes of optimizers' rules over a chunk of a span.

#pragma once

#include "core/base/philox.h"
#include "kernels/cuda/group.h"
#include "kernels/cuda/pack.h"
#include "kernels/optimizer_step.h"
#include "kernels/stochastic_rounding.h"

namespace trireme::kernels {

/// The numbers of one step; computed once, in f64: on the host, or by one thread of the device
/// where the step has a schedule.
template <typename Rule, typename A>
struct StepNumbers {
  typename Rule::template Element<A> element;
  uint64_t rounding_first;
  bool at_random;

  StepNumbers() = default;
  TRIREME_HD StepNumbers(const StepOptions& options, const Rule& rule)
      : element(options, rule),
        rounding_first(options.rounding_first()),
        at_random(options.rounding_blocks > 0) {}
};

/// W elements of all arrays that a rule touches.
template <typename Rule, int W, typename T>
struct ElementPack {
  using A = Acc<T>;
  A grad[W] = {}, param[W] = {}, state[kMostStates][W] = {};

  TRIREME_HD void load(const StepSpan<T>& s, int64_t i) {
    if constexpr (Rule::kGradient) load_values<W>(s.grad + i, grad);
    if constexpr (Rule::kParameter != Use::kNone) {
      if (s.master) {
        load_values<W>(s.master + i, param);
      } else {
        load_values<W>(s.param + i, param);
      }
    }
    TRIREME_UNROLL
    for (int n = 0; n < Rule::kStates; ++n) load_values<W>(s.state[n] + i, state[n]);
  }
  TRIREME_HD void store_states(const StepSpan<T>& s, int64_t i) const {
    if constexpr (Rule::kStepsStates) {
      TRIREME_UNROLL
      for (int n = 0; n < Rule::kStates; ++n) store_values<W>(s.state[n] + i, state[n]);
    }
  }
  /// fn(k, g, p, states) for each element.
  template <typename Fn>
  TRIREME_HD void each(A scale, const Fn& fn) {
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) {
      A own[kMostStates] = {};
      TRIREME_UNROLL
      for (int n = 0; n < Rule::kStates; ++n) own[n] = state[n][k];
      fn(k, grad[k] * scale, param[k], own);
      TRIREME_UNROLL
      for (int n = 0; n < Rule::kStates; ++n) state[n][k] = own[n];
    }
  }
};

/// Elements [i, i + W), i a multiple of W, W 1 or 4.
template <int W>
TRIREME_HD void store_at_random(BFloat16* to, const float (&values)[W], int64_t i,
                                uint64_t first_block) {
  static_assert(W == 1 || W == 4);
  const auto bits = philox(kRoundingSeed, first_block + static_cast<uint64_t>(i / 4));
  Pack<BFloat16, W> pack;
  TRIREME_UNROLL
  for (int k = 0; k < W; ++k) {
    pack.v[k] = round_at_random(values[k], bits[static_cast<size_t>(W == 1 ? i % 4 : k)]);
  }
  store_pack(to + i, pack);
}

template <int W, typename Rule, typename A, typename T>
TRIREME_HD void step_pack(const StepNumbers<Rule, A>& numbers, A scale, A trust,
                          const StepSpan<T>& s, int64_t i) {
  ElementPack<Rule, W, T> pack;
  pack.load(s, i);
  pack.each(scale, [&](int k, A g, A p, A* state) {
    pack.param[k] = numbers.element.step(g, p, trust, state);
  });
  pack.store_states(s, i);
  if constexpr (Rule::kParameter == Use::kSteps) {
    if (s.master) store_values<W>(s.master + i, pack.param);
    if constexpr (std::is_same_v<T, BFloat16>) {
      if (numbers.at_random && !s.master) {
        store_at_random<W>(s.param, pack.param, i, numbers.rounding_first + s.rounding_block);
        return;
      }
    }
    store_values<W>(s.param + i, pack.param);
  }
}

/// Whether all arrays of a span may be read in packs of W.
template <int W, typename T>
bool is_packed(const StepSpan<T>& s) {
  return are_packed<W>(s.grad, s.param, s.master, s.state[0], s.state[1], s.state[2]);
}

/// Thread `thread` of `threads`' part of elements [begin, end) of a span, begin a multiple of W:
/// fn.template run<W or 1>(i).
template <int W, typename Fn>
TRIREME_HD void each_pack(bool packed, int64_t begin, int64_t end, int thread, int threads,
                          const Fn& fn) {
  const int64_t packs_end = packed ? begin + (end - begin) / W * W : begin;
  for (int64_t i = begin + int64_t{thread} * W; i < packs_end; i += int64_t{threads} * W) {
    fn.template run<W>(i);
  }
  for (int64_t i = packs_end + thread; i < end; i += threads) fn.template run<1>(i);
}

/// step_all()'s work on packs of a span.
template <typename Rule, typename A, typename T>
struct StepBody {
  const StepNumbers<Rule, A>& numbers;
  A scale, trust;
  const StepSpan<T>& span;
  template <int W>
  TRIREME_HD void run(int64_t i) const {
    step_pack<W>(numbers, scale, trust, span, i);
  }
};

/// trust_ratios()' work on packs of a span; adds up what its thread has seen.
template <typename Rule, typename A, typename T>
struct MeasureBody {
  const StepNumbers<Rule, A>& numbers;
  A scale;
  const StepSpan<T>& span;
  Two<double>& sums;
  template <int W>
  TRIREME_HD void run(int64_t i) const {
    ElementPack<Rule, W, T> pack;
    pack.load(span, i);
    pack.each(scale, [&](int, A g, A p, A* state) {
      const double wide = static_cast<double>(p);
      const double q = static_cast<double>(numbers.element.measure(g, p, state));
      sums = sums + Two<double>{wide * wide, q * q};
    });
    pack.store_states(span, i);
  }
};

}  // namespace trireme::kernels

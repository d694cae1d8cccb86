// The CPU's loops behind step_all() and trust_ratios() (optimizer_step.h), for the files that
// instantiate them.

#pragma once

#include <algorithm>
#include <type_traits>

#include "kernels/optimizer_step.h"
#include "kernels/philox_abreast.h"
#include "kernels/rows.h"
#include "kernels/scratch.h"
#include "kernels/stochastic_rounding.h"

namespace trireme::kernels {
namespace detail {

/// Elements [begin, end) of a span: step(i, g, p, state) returns what becomes of p. `Master` is
/// what is stepped: the 32-bit copy of 16-bit parameters, else themselves. Pointers one by one and
/// restrict, so that the compiler makes vectors of it.
template <typename Rule, typename T, typename Master, typename Fn>
inline void each_element(int64_t begin, int64_t end, Acc<T> scale, const T* __restrict grad,
                         const Master* master, Acc<T>* __restrict s0, Acc<T>* __restrict s1,
                         Acc<T>* __restrict s2, const Fn& fn) {
  using A = Acc<T>;
  constexpr int kN = Rule::kStates;
  for (int64_t i = begin; i < end; ++i) {
    A state[kMostStates] = {};
    if constexpr (kN > 0) state[0] = s0[i];
    if constexpr (kN > 1) state[1] = s1[i];
    if constexpr (kN > 2) state[2] = s2[i];
    A g{0}, p{0};
    if constexpr (Rule::kGradient) g = A{grad[i]} * scale;
    if constexpr (Rule::kParameter != Use::kNone) p = A{master[i]};
    fn(i, g, p, state);
    if constexpr (Rule::kStepsStates) {
      if constexpr (kN > 0) s0[i] = state[0];
      if constexpr (kN > 1) s1[i] = state[1];
      if constexpr (kN > 2) s2[i] = state[2];
    }
  }
}

template <typename Rule, typename T, typename Master, typename E>
void step_range(const E& element, Acc<T> scale, Acc<T> trust, int64_t begin, int64_t end,
                const StepSpan<T>& s, Master* __restrict master, T* __restrict param) {
  using A = Acc<T>;
  const E e = element;  // in registers: nothing that is written can be part of it
  each_element<Rule>(begin, end, scale, s.grad, master, s.state[0], s.state[1], s.state[2],
                     [&](int64_t i, A g, A p, A* state) {
                       const A stepped = e.step(g, p, trust, state);
                       if constexpr (Rule::kParameter == Use::kSteps) {
                         master[i] = Master(stepped);
                         if constexpr (!std::is_same_v<T, Master>) param[i] = T(stepped);
                       }
                     });
}

/// bf16 parameters that are rounded at random, in tiles of what philox_abreast makes at once.
template <typename Rule, typename E>
void step_range_at_random(const E& element, float scale, float trust, int64_t begin, int64_t end,
                          const StepSpan<BFloat16>& s, uint64_t first_block) {
  constexpr int64_t kTile = 4 * kAbreast;
  const E e = element;
  for (int64_t at = begin; at < end; at += kTile) {
    const int64_t stop = std::min(end, at + kTile);
    float stepped[kTile];
    each_element<Rule>(at, stop, scale, s.grad, s.param, s.state[0], s.state[1], s.state[2],
                       [&](int64_t i, float g, float p, float* state) {
                         stepped[i - at] = e.step(g, p, trust, state);
                       });
    uint32_t words[4][kAbreast];
    philox_abreast(
        kRoundingSeed, [&](int j) { return first_block + static_cast<uint64_t>(at / 4 + j); },
        words);
    for (int64_t i = at; i < stop; ++i) {
      s.param[i] = round_at_random(stepped[i - at], words[(i - at) % 4][(i - at) / 4]);
    }
  }
}

/// Both sums of squares of a rule's pass over [begin, end), in tiles, so that stepping is vectors.
template <typename Rule, typename T, typename Master, typename E>
void measure_range(const E& element, Acc<T> scale, int64_t begin, int64_t end, const StepSpan<T>& s,
                   const Master* master, double* sums) {
  using A = Acc<T>;
  constexpr int64_t kTile = 128, kSums = 8;
  const E e = element;
  double of_p[kSums] = {}, of_q[kSums] = {};
  for (int64_t at = begin; at < end; at += kTile) {
    const int64_t stop = std::min(end, at + kTile);
    A ps[kTile] = {}, qs[kTile] = {};
    each_element<Rule>(at, stop, scale, s.grad, master, s.state[0], s.state[1], s.state[2],
                       [&](int64_t i, A g, A p, A* state) {
                         ps[i - at] = p;
                         qs[i - at] = e.measure(g, p, state);
                       });
    for (int64_t i = 0; i < kTile; i += kSums) {
      for (int64_t j = 0; j < kSums; ++j) {
        const double p = ps[i + j], q = qs[i + j];
        of_p[j] += p * p;
        of_q[j] += q * q;
      }
    }
  }
  sums[0] = sums[1] = 0;
  for (int64_t j = 0; j < kSums; ++j) sums[0] += of_p[j], sums[1] += of_q[j];
}

}  // namespace detail

template <typename T, typename Rule>
void step_all(Cpu, const StepOptions& options, const Rule& rule,
              std::span<const StepSpan<T>> spans) {
  using A = Acc<T>;
  const double factor = options.grad_factor ? *options.grad_factor : 1;
  if (factor == 0) return;
  const typename Rule::template Element<A> element(options, rule);
  for (const StepSpan<T>& s : spans) {
    const A scale = static_cast<A>(factor), trust = static_cast<A>(s.trust ? *s.trust : 1);
    const bool at_random = std::is_same_v<T, BFloat16> && options.rounding_blocks > 0 &&
                           !s.master && Rule::kParameter == Use::kSteps;
    // Whole tiles of random numbers.
    static_assert(kSerialElements % (4 * kAbreast) == 0);
    const int64_t parts = (s.count + kSerialElements - 1) / kSerialElements;
    parallel_for(parts, 1, [&](int64_t first, int64_t last) {
      const int64_t begin = first * kSerialElements;
      const int64_t end = std::min(s.count, last * kSerialElements);
      if (at_random) {
        if constexpr (std::is_same_v<T, BFloat16>) {
          detail::step_range_at_random<Rule>(element, scale, trust, begin, end, s,
                                             options.rounding_first() + s.rounding_block);
        }
      } else if (s.master) {
        detail::step_range<Rule>(element, scale, trust, begin, end, s, s.master, s.param);
      } else {
        detail::step_range<Rule>(element, scale, trust, begin, end, s, s.param, s.param);
      }
    });
  }
}

template <typename T, typename Rule>
void trust_ratios(Cpu, const StepOptions& options, const Rule& rule,
                  std::span<const StepSpan<T>> spans) {
  using A = Acc<T>;
  const double factor = options.grad_factor ? *options.grad_factor : 1;
  if (factor == 0) return;
  const typename Rule::template Element<A> element(options, rule);
  for (const StepSpan<T>& s : spans) {
    if (!s.trust && !Rule::kStepsStates) continue;
    // Pieces of a fixed size, whose sums are added in order: no thread changes the result.
    const int64_t pieces = (s.count + kSerialElements - 1) / kSerialElements;
    double* const sums = scratch<double>(Scratch::kPartials, 2 * pieces);
    parallel_for(pieces, 1, [&](int64_t first, int64_t last) {
      for (int64_t piece = first; piece < last; ++piece) {
        const int64_t begin = piece * kSerialElements;
        const int64_t end = std::min(s.count, begin + kSerialElements);
        if (s.master) {
          detail::measure_range<Rule>(element, static_cast<A>(factor), begin, end, s, s.master,
                                      sums + 2 * piece);
        } else {
          detail::measure_range<Rule>(element, static_cast<A>(factor), begin, end, s, s.param,
                                      sums + 2 * piece);
        }
      }
    });
    double p = 0, q = 0;
    for (int64_t piece = 0; piece < pieces; ++piece) p += sums[2 * piece], q += sums[2 * piece + 1];
    if (s.trust) *s.trust = element.trust(p, q);
  }
}

}  // namespace trireme::kernels

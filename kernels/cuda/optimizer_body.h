// One element's step of the optimizers, and the passes over a chunk of them.

#pragma once

#include <cmath>

#include "kernels/adamw.h"
#include "kernels/cuda/pack.h"
#include "kernels/sgd.h"

namespace trireme::kernels {

/// AdamStep in the arithmetic of the kernel; computed once, in f64: on the host, or by one thread
/// of the device where the step has a schedule.
template <typename A>
struct AdamRule {
  A beta1, beta2, rest1, rest2, rate, root, eps, l2, keep;

  AdamRule() = default;
  TRIREME_HD explicit AdamRule(const AdamStep& s) {
    const bool decoupled = s.decay_form == WeightDecay::kDecoupled;
    const double number = s.number_now(), lr = s.rate_now();
    beta1 = static_cast<A>(s.beta1);
    beta2 = static_cast<A>(s.beta2);
    rest1 = static_cast<A>(1 - s.beta1);
    rest2 = static_cast<A>(1 - s.beta2);
    rate = static_cast<A>(lr / (1 - std::pow(s.beta1, number)));
    root = static_cast<A>(1 / std::sqrt(1 - std::pow(s.beta2, number)));
    eps = static_cast<A>(s.eps);
    l2 = static_cast<A>(decoupled ? 0 : s.weight_decay);
    keep = static_cast<A>(decoupled ? 1 - lr * s.weight_decay : 1);
  }

  TRIREME_HD void step(A scale, A grad, A& p, A& m, A& v) const {
    const A g = grad * scale + l2 * p;
    m = beta1 * m + rest1 * g;
    v = beta2 * v + rest2 * g * g;
    p = keep * p - rate * m / (std::sqrt(v) * root + eps);
  }

  /// Elements [i, i + W) of a span.
  template <int W, typename T>
  TRIREME_HD void step_pack(A scale, const AdamSpan<T>& s, int64_t i) const {
    A grad[W], p[W], m[W], v[W];
    load_values<W>(s.grad + i, grad);
    if (s.master) {
      load_values<W>(s.master + i, p);
    } else {
      load_values<W>(s.param + i, p);
    }
    load_values<W>(s.m + i, m);
    load_values<W>(s.v + i, v);
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) step(scale, grad[k], p[k], m[k], v[k]);
    store_values<W>(s.m + i, m);
    store_values<W>(s.v + i, v);
    store_values<W>(s.param + i, p);
    if (s.master) store_values<W>(s.master + i, p);
  }

  template <int W, typename T>
  static bool is_packed(const AdamSpan<T>& s) {
    return are_packed<W>(s.grad, s.param, s.master, s.m, s.v);
  }
};

template <typename A>
struct SgdRule {
  A rate, decay, momentum, fresh;
  bool nesterov, first;

  SgdRule() = default;
  TRIREME_HD explicit SgdRule(const SgdStep& s)
      : rate(static_cast<A>(s.rate_now())),
        decay(static_cast<A>(s.weight_decay)),
        momentum(static_cast<A>(s.momentum)),
        fresh(static_cast<A>(s.is_first_now() ? 1 : 1 - s.dampening)),
        nesterov(s.form == Momentum::kNesterov),
        first(s.is_first_now()) {}

  template <int W, typename T>
  TRIREME_HD void step_pack(A scale, const SgdSpan<T>& s, int64_t i) const {
    A grad[W], p[W], buffer[W] = {};
    load_values<W>(s.grad + i, grad);
    if (s.master) {
      load_values<W>(s.master + i, p);
    } else {
      load_values<W>(s.param + i, p);
    }
    // A fresh buffer may hold anything, NaN included: it is not read on the first step.
    if (s.buffer && !first) load_values<W>(s.buffer + i, buffer);
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) {
      A g = grad[k] * scale + decay * p[k];
      if (s.buffer) {
        buffer[k] = (first ? A(0) : momentum * buffer[k]) + fresh * g;
        g = nesterov ? g + momentum * buffer[k] : buffer[k];
      }
      p[k] -= rate * g;
    }
    if (s.buffer) store_values<W>(s.buffer + i, buffer);
    store_values<W>(s.param + i, p);
    if (s.master) store_values<W>(s.master + i, p);
  }

  template <int W, typename T>
  static bool is_packed(const SgdSpan<T>& s) {
    return are_packed<W>(s.grad, s.param, s.master, s.buffer);
  }
};

/// Thread `thread` of `threads`' part of elements [begin, end) of a span; begin is a multiple of W.
template <int W, typename Rule, typename A, typename Span>
TRIREME_HD void step_chunk(const Rule& rule, A scale, const Span& span, bool is_packed,
                           int64_t begin, int64_t end, int thread, int threads) {
  const int64_t packs_end = is_packed ? begin + (end - begin) / W * W : begin;
  for (int64_t i = begin + int64_t{thread} * W; i < packs_end; i += int64_t{threads} * W) {
    rule.template step_pack<W>(scale, span, i);
  }
  for (int64_t i = packs_end + thread; i < end; i += threads) {
    rule.template step_pack<1>(scale, span, i);
  }
}

}  // namespace trireme::kernels

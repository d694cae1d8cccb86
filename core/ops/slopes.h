// Derivatives of the pointwise functors (kernels/functors.h) as ops that have derivatives
// themselves: what a formula computes while it is recorded.
//
// dx = dy * slope, or a choice between dy and nothing where the functor is piecewise linear.

#pragma once

#include "core/ops/map.h"
#include "core/ops/ops.h"
#include "core/ops/self_adjoint.h"

namespace trireme::detail {

template <typename Fn>
inline constexpr bool kIsPiecewiseLinear =
    std::is_same_v<Fn, kernels::Abs> || std::is_same_v<Fn, kernels::Relu> ||
    std::is_same_v<Fn, kernels::Clamp>;

// The derivative, from what the functor saves: its input x or its output y.
Tensor slope(const kernels::Exp&, const Tensor& y);
Tensor slope(const kernels::Log&, const Tensor& x);
Tensor slope(const kernels::Sqrt&, const Tensor& y);
Tensor slope(const kernels::Rsqrt&, const Tensor& y);
Tensor slope(const kernels::Reciprocal&, const Tensor& y);
Tensor slope(const kernels::Square&, const Tensor& x);
Tensor slope(const kernels::Sin&, const Tensor& x);
Tensor slope(const kernels::Cos&, const Tensor& x);
Tensor slope(const kernels::Tanh&, const Tensor& y);
Tensor slope(const kernels::Sigmoid&, const Tensor& y);
Tensor slope(const kernels::GeluErf&, const Tensor& x);
Tensor slope(const kernels::GeluTanh&, const Tensor& x);
Tensor slope(const kernels::Pow& fn, const Tensor& x);

/// dx of fn while recording. v: what fn saves, with its history. Out of line: the formula that
/// calls it hardly ever does.
template <typename Fn>
[[gnu::noinline, gnu::cold]] Tensor recorded_gradient(const char* op, const Fn& fn,
                                                      const Tensor& dy, const Tensor& v) {
  if constexpr (kIsPiecewiseLinear<Fn>) {
    return self_adjoint(op, dy, [op, fn, v = save(v.detach())](const Tensor& d) {
      return map_floating(op, kernels::GradOf<Fn>{fn}, d.shape(), d, v());
    });
  } else {
    return mul(dy, slope(fn, v));
  }
}

}  // namespace trireme::detail

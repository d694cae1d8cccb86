#include "core/ops/slopes.h"

#include <numbers>

namespace trireme::detail {

Tensor slope(const kernels::Exp&, const Tensor& y) { return y; }
Tensor slope(const kernels::Log&, const Tensor& x) { return reciprocal(x); }
Tensor slope(const kernels::Sqrt&, const Tensor& y) { return reciprocal(y) * 0.5; }
Tensor slope(const kernels::Rsqrt&, const Tensor& y) { return y * y * y * -0.5; }
Tensor slope(const kernels::Reciprocal&, const Tensor& y) { return neg(y * y); }
Tensor slope(const kernels::Square&, const Tensor& x) { return x * 2.0; }
Tensor slope(const kernels::Sin&, const Tensor& x) { return cos(x); }
Tensor slope(const kernels::Cos&, const Tensor& x) { return neg(sin(x)); }
Tensor slope(const kernels::Tanh&, const Tensor& y) { return 1.0 - y * y; }
Tensor slope(const kernels::Sigmoid&, const Tensor& y) { return y * (1.0 - y); }

// Phi(x) + x phi(x). Phi is no op of its own: the value comes from the kernel of the gradient, and
// its derivative, (2 - x^2) phi(x), is composed.
Tensor slope(const kernels::GeluErf& fn, const Tensor& x) {
  const Tensor each = ones(x.shape(), {x.dtype(), x.device()});
  Tensor y =
      map_floating("gelu", kernels::GradOf<kernels::GeluErf>{fn}, x.shape(), each, x.detach());
  return attach(differentiable("gelu"), std::move(y), wrt(x, [x = save(x)](const Tensor& dy) {
                  constexpr double kDensityAt0 = std::numbers::inv_sqrtpi / std::numbers::sqrt2;
                  const Tensor squared = square(x());
                  return dy * (2.0 - squared) * exp(squared * -0.5) * kDensityAt0;
                }));
}

// x s(2u) with s the sigmoid and 2u = a x + b x^3: s + x s (1 - s) (a + 3 b x^2).
Tensor slope(const kernels::GeluTanh& fn, const Tensor& x) {
  const double a = fn.two_a<double>(), b = 0.044715 * a;
  const Tensor squared = square(x);
  const Tensor s = sigmoid(x * (squared * b + a));
  return s + x * s * (1.0 - s) * (squared * (3 * b) + a);
}

Tensor slope(const kernels::Pow& fn, const Tensor& x) {
  if (fn.exponent == 0) return zeros(x.shape(), {x.dtype(), x.device()});
  return pow(x, fn.exponent - 1) * fn.exponent;
}

}  // namespace trireme::detail

// The formulas and their derivatives stand in kernels/activation_functors.h.

#include "core/ops/activations.h"

#include "core/autograd/attach.h"
#include "core/ops/autocast.h"
#include "core/ops/map.h"
#include "core/ops/ops.h"
#include "core/tensor/view.h"
#include "kernels/activation_functors.h"

namespace trireme {
namespace {

// Derivatives as ops: what formulas compute while they are recorded.
Tensor slope(const kernels::Silu&, const Tensor& x) {
  const Tensor s = sigmoid(x);
  return s * (1.0 + x * (1.0 - s));
}
Tensor slope(const kernels::Elu& fn, const Tensor& x) {
  return where(greater(x, 0), ones_like(x), exp(x) * fn.alpha);
}
Tensor slope(const kernels::Softplus& fn, const Tensor& x) {
  const Tensor z = x * fn.beta;
  return where(greater(z, fn.threshold), ones_like(z), sigmoid(z));
}
Tensor slope(const kernels::LeakyRelu& fn, const Tensor& x) {
  return where(greater(x, 0), ones_like(x), ones_like(x) * fn.slope);
}
Tensor slope(const kernels::Mish&, const Tensor& x) {
  const Tensor t = tanh(softplus(x));
  return t + x * (1.0 - t * t) * sigmoid(x);
}

template <typename Fn>
Tensor activation(const Tensor& x, const Fn& fn = {}) {
  detail::check_operand(Fn::kName, x);
  Tensor y = detail::map_floating(Fn::kName, fn, x.shape(), x);
  if (!x.requires_grad() || !is_recording()) return y;
  return attach(
      differentiable(Fn::kName), std::move(y), wrt(x, [fn, x = save(x)](const Tensor& dy) {
        if (is_recording()) return dy * slope(fn, x());
        return detail::map_floating(Fn::kName, kernels::GradOf<Fn>{fn}, dy.shape(), dy, x());
      }));
}

}  // namespace

Tensor silu(const Tensor& x) { return activation<kernels::Silu>(x); }
Tensor elu(const Tensor& x, double alpha) { return activation(x, kernels::Elu{alpha}); }
Tensor leaky_relu(const Tensor& x, double slope) {
  return activation(x, kernels::LeakyRelu{slope});
}
Tensor mish(const Tensor& x) { return activation<kernels::Mish>(x); }

Tensor softplus(const Tensor& x, double beta, double threshold) {
  if (const auto in = detail::autocast<"softplus">(x)) return softplus(in[0], beta, threshold);
  require(beta > 0, "softplus", "beta must be positive, got ", beta);
  return activation(x, kernels::Softplus{beta, threshold});
}

Tensor glu(const Tensor& x, int dim) {
  detail::check_operand("glu", x);
  require(x.rank() >= 1, "glu", "needs at least one dimension, got a scalar");
  dim = normalize_dim("glu", dim, x.rank());
  const int64_t half = x.shape()[dim] / 2;
  require(x.shape()[dim] == 2 * half, "glu", "dimension ", dim, " must be even, got shape ",
          x.shape());
  const auto halves = [dim, half](const Tensor& of) {
    return std::pair(views::slice(of, dim, 0, half), views::slice(of, dim, half, 2 * half));
  };
  const auto [left, right] = halves(x);
  Tensor y = detail::map_floating("glu", kernels::Glu{}, left.shape(), left, right);
  return attach(
      differentiable("glu"), std::move(y),
      wrt(x, [x = save(x), halves, half, dim](const Tensor& dy) {
        if (is_recording()) {
          const Tensor a = slice(x(), dim, 0, half), s = sigmoid(slice(x(), dim, half, 2 * half));
          return concat({dy * s, dy * a * s * (1.0 - s)}, dim);
        }
        const auto [a, b] = halves(x());
        return concat({detail::map_floating("glu", kernels::Glu{}, dy.shape(), dy, b),
                       detail::map_floating("glu", kernels::GluGradGate{}, dy.shape(), dy, a, b)},
                      dim);
      }));
}

Tensor swiglu(const Tensor& gate, const Tensor& x) {
  if (const auto in = detail::autocast<"swiglu">(gate, x)) return swiglu(in[0], in[1]);
  detail::check_operands("swiglu", gate, x);
  require(gate.shape() == x.shape(), "swiglu", "gate and x must have one shape, got ", gate.shape(),
          " and ", x.shape());
  Tensor y = detail::map_floating("swiglu", kernels::SwiGlu{}, x.shape(), gate, x);
  return attach(differentiable("swiglu"), std::move(y),
                wrt(gate,
                    [gate = save(gate), x = save(x)](const Tensor& dy) {
                      if (is_recording()) return dy * x() * slope(kernels::Silu{}, gate());
                      return detail::map_floating("swiglu", kernels::SwiGluGradGate{}, dy.shape(),
                                                  dy, gate(), x());
                    }),
                wrt(x, [gate = save(gate)](const Tensor& dy) { return swiglu(gate(), dy); }));
}

}  // namespace trireme

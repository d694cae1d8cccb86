// Ops of one operand. The formulas and their derivatives stand in kernels/functors.h.

#include "core/autograd/attach.h"
#include "core/ops/autocast.h"
#include "core/ops/map.h"
#include "core/ops/ops.h"
#include "core/ops/slopes.h"

namespace trireme {
namespace {

template <typename Fn>
Tensor unary(const char* op, const Tensor& x, const Fn& fn = {}) {
  detail::check_operand(op, x);
  Tensor y = detail::map_floating(op, fn, x.shape(), x);
  if (!x.requires_grad() || !is_recording()) return y;
  constexpr bool kSavesOutput = Fn::kSaves == kernels::Saves::kOutput;
  return attach(differentiable(op), y,
                wrt(x, [op, fn, v = kSavesOutput ? save_output(y) : save(x)](const Tensor& dy) {
                  if (is_recording()) return detail::recorded_gradient(op, fn, dy, v());
                  return detail::map_floating(op, kernels::GradOf<Fn>{fn}, dy.shape(), dy, v());
                }));
}

/// For the ops that Autocast keeps in f32.
template <detail::OpName kName, typename Fn>
Tensor unary_in_f32(const Tensor& x) {
  const auto in = detail::autocast<kName>(x);
  return unary<Fn>(kName.chars, in ? in[0] : x);
}

Tensor scaled(const char* op, const Tensor& x, double value) {
  detail::check_operand(op, x);
  detail::check_scalar(op, x, value);
  const kernels::MulScalar fn{value};
  Tensor y = detail::map_arithmetic(op, fn, x.shape(), x);
  return attach(differentiable(op), y, wrt(x, [op, fn](const Tensor& dy) {
                  return detail::self_adjoint(op, dy, [op, fn](const Tensor& d) {
                    return detail::map_floating(op, fn, d.shape(), d);
                  });
                }));
}

}  // namespace

Tensor exp(const Tensor& x) { return unary_in_f32<"exp", kernels::Exp>(x); }
Tensor log(const Tensor& x) { return unary_in_f32<"log", kernels::Log>(x); }
Tensor sqrt(const Tensor& x) { return unary<kernels::Sqrt>("sqrt", x); }
Tensor rsqrt(const Tensor& x) { return unary_in_f32<"rsqrt", kernels::Rsqrt>(x); }
Tensor reciprocal(const Tensor& x) { return unary_in_f32<"reciprocal", kernels::Reciprocal>(x); }
Tensor square(const Tensor& x) { return unary<kernels::Square>("square", x); }
Tensor abs(const Tensor& x) { return unary<kernels::Abs>("abs", x); }
Tensor sin(const Tensor& x) { return unary<kernels::Sin>("sin", x); }
Tensor cos(const Tensor& x) { return unary<kernels::Cos>("cos", x); }
Tensor tanh(const Tensor& x) { return unary<kernels::Tanh>("tanh", x); }
Tensor sigmoid(const Tensor& x) { return unary<kernels::Sigmoid>("sigmoid", x); }
Tensor relu(const Tensor& x) { return unary<kernels::Relu>("relu", x); }

Tensor gelu(const Tensor& x, Gelu form) {
  return form == Gelu::kErf ? unary<kernels::GeluErf>("gelu", x)
                            : unary<kernels::GeluTanh>("gelu", x);
}

Tensor clamp(const Tensor& x, double low, double high) {
  require(low <= high, "clamp", "low must not exceed high, got ", low, " and ", high);
  return unary("clamp", x, kernels::Clamp{low, high});
}

Tensor pow(const Tensor& x, double exponent) {
  if (const auto in = detail::autocast<"pow">(x)) return pow(in[0], exponent);
  // The common exponents are vector code; the general one calls the C library per element.
  if (exponent == 2) return unary<kernels::Square>("pow", x);
  if (exponent == 0.5) return unary<kernels::Sqrt>("pow", x);
  if (exponent == -0.5) return unary<kernels::Rsqrt>("pow", x);
  if (exponent == -1) return unary<kernels::Reciprocal>("pow", x);
  return unary("pow", x, kernels::Pow{exponent});
}

Tensor add(const Tensor& x, double value) {
  detail::check_operand("add", x);
  detail::check_scalar("add", x, value);
  Tensor y = detail::map_arithmetic("add", kernels::AddScalar{value}, x.shape(), x);
  return attach(differentiable("add"), y, wrt(x, [](const Tensor& dy) { return dy; }));
}

Tensor mul(const Tensor& x, double value) { return scaled("mul", x, value); }
Tensor neg(const Tensor& x) { return scaled("neg", x, -1); }

Tensor div(const Tensor& x, double value) {
  detail::check_operand("div", x);
  const kernels::DivScalar fn{value};
  Tensor y = detail::map_floating("div", fn, x.shape(), x);
  return attach(differentiable("div"), y, wrt(x, [fn](const Tensor& dy) {
                  return detail::self_adjoint("div", dy, [fn](const Tensor& d) {
                    return detail::map_floating("div", fn, d.shape(), d);
                  });
                }));
}

}  // namespace trireme

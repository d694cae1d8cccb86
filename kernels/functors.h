// Pointwise formulas and their derivatives: one text for host and device.
//
// A unary functor has operator()(x) and grad(dy, v) = dL/dx, where v is its input or its output as
// kSaves says: what backward must keep. kName is the op that errors of its kernels name. Choices
// are written so that NaN stays NaN, and so that a gradient is dropped (not multiplied by 0) where
// the function is constant.

#pragma once

#include <cmath>
#include <numbers>

#include "core/base/host_device.h"
#include "kernels/vector_math.h"

namespace trireme::kernels {

enum class Saves { kInput, kOutput };

#define TRIREME_FN      \
  template <typename T> \
  TRIREME_HD T

struct Exp {
  static constexpr const char* kName = "exp";
  static constexpr Saves kSaves = Saves::kOutput;
  TRIREME_FN operator()(T x) const { return vmath::exp(x); }
  TRIREME_FN grad(T dy, T y) const { return dy * y; }
};

struct Log {
  static constexpr const char* kName = "log";
  static constexpr Saves kSaves = Saves::kInput;
  TRIREME_FN operator()(T x) const { return vmath::log(x); }
  TRIREME_FN grad(T dy, T x) const { return dy / x; }
};

struct Sqrt {
  static constexpr const char* kName = "sqrt";
  static constexpr Saves kSaves = Saves::kOutput;
  TRIREME_FN operator()(T x) const { return std::sqrt(x); }
  TRIREME_FN grad(T dy, T y) const { return dy / (y + y); }
};

struct Rsqrt {
  static constexpr const char* kName = "rsqrt";
  static constexpr Saves kSaves = Saves::kOutput;
  TRIREME_FN operator()(T x) const { return T(1) / std::sqrt(x); }
  TRIREME_FN grad(T dy, T y) const { return T(-0.5) * dy * y * y * y; }
};

struct Reciprocal {
  static constexpr const char* kName = "reciprocal";
  static constexpr Saves kSaves = Saves::kOutput;
  TRIREME_FN operator()(T x) const { return T(1) / x; }
  TRIREME_FN grad(T dy, T y) const { return -dy * y * y; }
};

struct Square {
  static constexpr const char* kName = "square";
  static constexpr Saves kSaves = Saves::kInput;
  TRIREME_FN operator()(T x) const { return x * x; }
  TRIREME_FN grad(T dy, T x) const { return dy * (x + x); }
};

struct Abs {
  static constexpr const char* kName = "abs";
  static constexpr Saves kSaves = Saves::kInput;
  TRIREME_FN operator()(T x) const { return std::fabs(x); }
  TRIREME_FN grad(T dy, T x) const { return x > T(0) ? dy : x < T(0) ? -dy : x * T(0); }
};

struct Sin {
  static constexpr const char* kName = "sin";
  static constexpr Saves kSaves = Saves::kInput;
  TRIREME_FN operator()(T x) const { return std::sin(x); }
  TRIREME_FN grad(T dy, T x) const { return dy * std::cos(x); }
};

struct Cos {
  static constexpr const char* kName = "cos";
  static constexpr Saves kSaves = Saves::kInput;
  TRIREME_FN operator()(T x) const { return std::cos(x); }
  TRIREME_FN grad(T dy, T x) const { return -dy * std::sin(x); }
};

struct Tanh {
  static constexpr const char* kName = "tanh";
  static constexpr Saves kSaves = Saves::kOutput;
  TRIREME_FN operator()(T x) const { return vmath::tanh(x); }
  TRIREME_FN grad(T dy, T y) const { return dy * (T(1) - y * y); }
};

struct Sigmoid {
  static constexpr const char* kName = "sigmoid";
  static constexpr Saves kSaves = Saves::kOutput;
  TRIREME_FN operator()(T x) const { return vmath::sigmoid(x); }
  TRIREME_FN grad(T dy, T y) const { return dy * y * (T(1) - y); }
};

struct Relu {
  static constexpr const char* kName = "relu";
  static constexpr Saves kSaves = Saves::kOutput;
  TRIREME_FN operator()(T x) const { return x < T(0) ? T(0) : x; }
  TRIREME_FN grad(T dy, T y) const { return y <= T(0) ? T(0) : dy; }
};

// x Phi(x), Phi the normal distribution function.
struct GeluErf {
  static constexpr const char* kName = "gelu";
  static constexpr Saves kSaves = Saves::kInput;
  TRIREME_FN phi(T x) const { return T(0.5) * vmath::erfc(x * (T(-1) / std::numbers::sqrt2_v<T>)); }
  TRIREME_FN operator()(T x) const { return x * phi(x); }
  TRIREME_FN grad(T dy, T x) const {
    constexpr T kDensityAt0 = std::numbers::inv_sqrtpi_v<T> / std::numbers::sqrt2_v<T>;
    return dy * (phi(x) + x * kDensityAt0 * vmath::exp(T(-0.5) * x * x));
  }
};

// x (1 + tanh u) / 2 with u = sqrt(2/pi) (x + 0.044715 x^3), written as x sigmoid(2u): one
// exponential instead of the two ranges of tanh.
struct GeluTanh {
  static constexpr const char* kName = "gelu";
  static constexpr Saves kSaves = Saves::kInput;
  TRIREME_FN two_u(T x) const { return x * (two_a<T>() + two_a<T>() * T(0.044715) * x * x); }
  TRIREME_FN operator()(T x) const { return x * vmath::sigmoid(two_u(x)); }
  TRIREME_FN grad(T dy, T x) const {
    // With e = exp(-|2u|) and g = 1 / (1 + e), of the gate and 1 - gate one is g and the other e g.
    // As a difference the latter would err by 6e-8, which is multiplied by x times a slope below.
    const T a = std::fabs(two_u(x)), e = vmath::exp(-a), g = vmath::sigmoid(a);
    const T du2 = two_a<T>() + two_a<T>() * T(3 * 0.044715) * x * x;  // derivative of 2u
    return dy * ((x < T(0) ? e * g : g) + x * (e * g * g) * du2);
  }
  template <typename T>
  TRIREME_HD static constexpr T two_a() {
    return 2 * std::numbers::sqrt2_v<T> * std::numbers::inv_sqrtpi_v<T>;
  }
};

struct Clamp {
  static constexpr const char* kName = "clamp";
  static constexpr Saves kSaves = Saves::kInput;
  double low, high;
  TRIREME_FN operator()(T x) const { return x < T(low) ? T(low) : x > T(high) ? T(high) : x; }
  TRIREME_FN grad(T dy, T x) const { return x > T(low) && x < T(high) ? dy : T(0); }
};

struct Pow {
  static constexpr const char* kName = "pow";
  static constexpr Saves kSaves = Saves::kInput;
  double exponent;
  TRIREME_FN operator()(T x) const { return std::pow(x, T(exponent)); }
  TRIREME_FN grad(T dy, T x) const {
    return exponent == 0 ? T(0) : dy * T(exponent) * std::pow(x, T(exponent) - T(1));
  }
};

/// A unary functor's gradient as a binary functor.
template <typename Fn>
struct GradOf {
  static constexpr const char* kName = Fn::kName;
  Fn fn;
  TRIREME_FN operator()(T dy, T v) const { return fn.grad(dy, v); }
};

/// Instantiated for the floating types, forward and as GradOf. T above is Acc of the elements'
/// type.
#define TRIREME_UNARY_FUNCTORS(X) \
  X(Exp)                          \
  X(Log)                          \
  X(Sqrt)                         \
  X(Rsqrt)                        \
  X(Reciprocal)                   \
  X(Square) X(Abs) X(Sin) X(Cos) X(Tanh) X(Sigmoid) X(Relu) X(GeluErf) X(GeluTanh) X(Clamp) X(Pow)

// --- with a scalar, and of two operands; for integers too ----------------------------------------

struct AddScalar {
  static constexpr const char* kName = "add";
  double value;
  TRIREME_FN operator()(T x) const { return x + T(value); }
};

struct MulScalar {
  static constexpr const char* kName = "mul";
  double value;
  TRIREME_FN operator()(T x) const { return x * T(value); }
};

// Floating only.
struct DivScalar {
  static constexpr const char* kName = "div";
  double value;
  TRIREME_FN operator()(T x) const { return x / T(value); }
};

struct Add {
  static constexpr const char* kName = "add";
  TRIREME_FN operator()(T a, T b) const { return a + b; }
};

struct Sub {
  static constexpr const char* kName = "sub";
  TRIREME_FN operator()(T a, T b) const { return a - b; }
};

struct Mul {
  static constexpr const char* kName = "mul";
  TRIREME_FN operator()(T a, T b) const { return a * b; }
};

// A comparison with NaN is false, so either operand's NaN is what both results fall through to.
struct Maximum {
  static constexpr const char* kName = "maximum";
  TRIREME_FN operator()(T a, T b) const { return a > b ? a : b >= a ? b : a + b; }
};

struct Minimum {
  static constexpr const char* kName = "minimum";
  TRIREME_FN operator()(T a, T b) const { return a < b ? a : b <= a ? b : a + b; }
};

// --- floating only -------------------------------------------------------------------------------

struct Div {
  static constexpr const char* kName = "div";
  TRIREME_FN operator()(T a, T b) const { return a / b; }
};

// Gradient of a / b = y with respect to b.
struct DivGradRhs {
  static constexpr const char* kName = "div";
  TRIREME_FN operator()(T dy, T y, T b) const { return -(dy * y) / b; }
};

// Gradient of max(mine, other) with respect to `mine`.
struct MaximumGrad {
  static constexpr const char* kName = "maximum";
  TRIREME_FN operator()(T dy, T mine, T other) const {
    return mine < other ? T(0) : mine == other ? T(0.5) * dy : dy;
  }
};

struct MinimumGrad {
  static constexpr const char* kName = "minimum";
  TRIREME_FN operator()(T dy, T mine, T other) const {
    return mine > other ? T(0) : mine == other ? T(0.5) * dy : dy;
  }
};

/// X(functor, operands) for those that integers have, too, and for those of floating types only.
#define TRIREME_ARITHMETIC_FUNCTORS(X) \
  X(AddScalar, 1)                      \
  X(MulScalar, 1)                      \
  X(Add, 2)                            \
  X(Sub, 2)                            \
  X(Mul, 2) X(Maximum, 2) X(Minimum, 2)
#define TRIREME_DIVISION_FUNCTORS(X) X(DivScalar, 1) X(Div, 2)

#undef TRIREME_FN

}  // namespace trireme::kernels

// Activations of common models and the elementwise parts of losses, by the rules of functors.h.

#pragma once

#include "kernels/functors.h"

namespace trireme::vmath {

/// log(1 + x) for x in [0, 1]. Relative error below 2e-7.
TRIREME_HD inline float log1p_of_part(float x) {
  // 2 atanh(s) = 2 (s + s^3/3 + ...) with s = x / (2 + x) <= 1/3: the series to s^15 errs by 5e-9.
  const float s = x / (2.0f + x), s2 = s * s;
  return 2.0f * s *
         horner(s2, 1.0f, 1.0f / 3, 1.0f / 5, 1.0f / 7, 1.0f / 9, 1.0f / 11, 1.0f / 13, 1.0f / 15);
}
TRIREME_HD inline double log1p_of_part(double x) { return std::log1p(x); }

}  // namespace trireme::vmath

namespace trireme::kernels {

#define TRIREME_FN      \
  template <typename T> \
  TRIREME_HD T

// x sigmoid(x).
struct Silu {
  static constexpr const char* kName = "silu";
  static constexpr Saves kSaves = Saves::kInput;
  TRIREME_FN operator()(T x) const { return x * vmath::sigmoid(x); }
  TRIREME_FN grad(T dy, T x) const {
    const T s = vmath::sigmoid(x);
    return dy * s * (T(1) + x * (T(1) - s));
  }
};

// x above 0, alpha (e^x - 1) below.
struct Elu {
  static constexpr const char* kName = "elu";
  static constexpr Saves kSaves = Saves::kInput;
  double alpha;
  TRIREME_FN operator()(T x) const {
    // e^x - 1 = 2t / (1 - t) with t = tanh(x / 2), which keeps its digits near 0.
    const T t = vmath::tanh(T(0.5) * x);
    return x > T(0) ? x : T(alpha) * (t + t) / (T(1) - t);
  }
  TRIREME_FN grad(T dy, T x) const { return x > T(0) ? dy : dy * T(alpha) * vmath::exp(x); }
};

// log(1 + e^(beta x)) / beta, and x itself where beta x > threshold.
struct Softplus {
  static constexpr const char* kName = "softplus";
  static constexpr Saves kSaves = Saves::kInput;
  double beta, threshold;
  TRIREME_FN operator()(T x) const {
    const T z = T(beta) * x;
    return z > T(threshold) ? x : log1p_exp(z) / T(beta);
  }
  TRIREME_FN grad(T dy, T x) const {
    const T z = T(beta) * x;
    return z > T(threshold) ? dy : dy * vmath::sigmoid(z);
  }
  TRIREME_FN static log1p_exp(T z) {
    return (z > T(0) ? z : T(0)) + vmath::log1p_of_part(vmath::exp(-std::fabs(z)));
  }
};

struct LeakyRelu {
  static constexpr const char* kName = "leaky_relu";
  static constexpr Saves kSaves = Saves::kInput;
  double slope;
  TRIREME_FN operator()(T x) const { return x > T(0) ? x : T(slope) * x; }
  TRIREME_FN grad(T dy, T x) const { return x > T(0) ? dy : T(slope) * dy; }
};

// x tanh(log(1 + e^x)).
struct Mish {
  static constexpr const char* kName = "mish";
  static constexpr Saves kSaves = Saves::kInput;
  TRIREME_FN operator()(T x) const { return x * gate(x); }
  TRIREME_FN grad(T dy, T x) const {
    const T t = gate(x);
    return dy * (t + x * (T(1) - t) * (T(1) + t) * vmath::sigmoid(x));
  }
  // ((1 + e^x)^2 - 1) / ((1 + e^x)^2 + 1), from e^-|x| so that nothing overflows.
  TRIREME_FN static gate(T x) {
    const T e = vmath::exp(-std::fabs(x));
    const T up = x > T(0) ? T(1) + (e + e) : e * (e + T(2));
    return up / (up + T(2) * (x > T(0) ? e * e : T(1)));
  }
};

// x log x, 0 at 0: the entropy in a divergence.
struct XLogX {
  static constexpr const char* kName = "kl_div";
  static constexpr Saves kSaves = Saves::kInput;
  TRIREME_FN operator()(T x) const { return x == T(0) ? T(0) : x * vmath::log(x); }
  TRIREME_FN grad(T dy, T x) const { return dy * (vmath::log(x) + T(1)); }
};

// Of a difference: a parabola where |x| < beta, else |x| - beta / 2.
struct SmoothL1 {
  static constexpr const char* kName = "smooth_l1_loss";
  static constexpr Saves kSaves = Saves::kInput;
  double beta;  // positive
  TRIREME_FN operator()(T x) const {
    const T a = std::fabs(x);
    return a < T(beta) ? T(0.5) * x * x / T(beta) : a - T(0.5 * beta);
  }
  TRIREME_FN grad(T dy, T x) const {
    return x >= T(beta) ? dy : x <= -T(beta) ? -dy : dy * x / T(beta);
  }
};

#define TRIREME_ACTIVATION_FUNCTORS(X) \
  X(Silu)                              \
  X(Elu)                               \
  X(Softplus) X(LeakyRelu) X(Mish) X(XLogX) X(SmoothL1)

// --- gates: of two halves, and the gradients that are not a gate again ---------------------------

struct Glu {
  static constexpr const char* kName = "glu";
  TRIREME_FN operator()(T a, T b) const { return a * vmath::sigmoid(b); }
};
// With respect to b; with respect to a it is Glu of (dy, b).
struct GluGradGate {
  static constexpr const char* kName = "glu";
  TRIREME_FN operator()(T dy, T a, T b) const {
    const T s = vmath::sigmoid(b);
    return dy * a * s * (T(1) - s);
  }
};

struct SwiGlu {
  static constexpr const char* kName = "swiglu";
  TRIREME_FN operator()(T a, T b) const { return Silu{}(a)*b; }
};
// With respect to a; with respect to b it is SwiGlu of (a, dy).
struct SwiGluGradGate {
  static constexpr const char* kName = "swiglu";
  TRIREME_FN operator()(T dy, T a, T b) const { return Silu{}.grad(dy * b, a); }
};

// -(t log s(x) + (1 - t) log(1 - s(x))), s the sigmoid: no difference of two large numbers, or of
// two infinities.
struct BceWithLogits {
  static constexpr const char* kName = "binary_cross_entropy_with_logits";
  TRIREME_FN operator()(T x, T t) const {
    return (x > T(0) ? x * (T(1) - t) : -x * t) + Softplus::log1p_exp(-std::fabs(x));
  }
};
struct BceWithLogitsGrad {
  static constexpr const char* kName = "binary_cross_entropy_with_logits";
  TRIREME_FN operator()(T dy, T x, T t) const { return dy * (vmath::sigmoid(x) - t); }
};

/// X(functor, operands).
#define TRIREME_GATE_FUNCTORS(X) \
  X(Glu, 2)                      \
  X(GluGradGate, 3) X(SwiGlu, 2) X(SwiGluGradGate, 3) X(BceWithLogits, 2) X(BceWithLogitsGrad, 3)

#undef TRIREME_FN

}  // namespace trireme::kernels

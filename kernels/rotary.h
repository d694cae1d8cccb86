// Rotary position embedding: pairs of features turn by an angle that grows with the position.
//
// Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021, in the layout
// of Llama checkpoints on Hugging Face: feature d of a head is paired with feature
// d + head_dim / 2.

#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

#include "core/base/device_tag.h"
#include "core/base/half.h"
#include "core/base/host_device.h"

namespace trireme::kernels {

struct RotarySpec {
  int64_t batch, time, heads, head_dim;
  int64_t rotated;       // heads that turn, the first ones; the others are copied
  int64_t first = 0;     // position of the first time
  double theta = 1e4;    // the last pair turns about theta times slower than the first
  bool inverse = false;  // turn back, which is the gradient
};

/// With c, s = cos, sin of position * theta^(-2 d / head_dim), for d below head_dim / 2 and every
/// rotated head: y[d] = x[d] c - x[d + head_dim / 2] s and y[d + head_dim / 2] =
/// x[d + head_dim / 2] c + x[d] s. x and y: [batch, time, heads, head_dim], dense; y may be x.
/// Requires an even head_dim. Angles are formed in f64.
template <typename T>
void rotary(Cpu, const RotarySpec& spec, const T* x, T* y);
template <typename T>
void rotary(Cuda, const RotarySpec& spec, const T* x, T* y);

/// Pair d turns by 2^(d exponent) from one position to the next.
inline double rotary_exponent(const RotarySpec& spec) {
  return -2 * std::log2(spec.theta) / static_cast<double>(spec.head_dim);
}
TRIREME_HD inline double rotary_frequency(double exponent, int64_t d) {
  return std::exp2(exponent * static_cast<double>(d));
}

template <typename A>
struct Rotation {
  A cos, sin;
};
/// Whole turns are taken off in f64, so that f32 functions see a small angle at any position.
template <typename A>
TRIREME_HD inline Rotation<A> rotation(double position, double frequency, bool inverse) {
  constexpr double kTwoPi = 2 * std::numbers::pi;
  const double angle = position * frequency;
  const double rest = angle - kTwoPi * std::rint(angle / kTwoPi);
  const A small = static_cast<A>(rest);
  const A sine = std::sin(small);
  return {std::cos(small), inverse ? -sine : sine};
}

}  // namespace trireme::kernels

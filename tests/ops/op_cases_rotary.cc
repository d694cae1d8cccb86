// Rows of the rotary position embedding: widths below, at and beyond a vector, positions far from
// the start, heads that are left alone.

#include <cmath>
#include <complex>

#include "core/ops/ops.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

OpCase rotary_case(const std::string& name, const Shape& shape, RotaryOptions options = {}) {
  Shape none = shape;
  none[1] = 0;
  return {.name = "rotary_" + name,
          .inputs = {real(shape)},
          .op = [=](const Tensors& in) { return rotary_embedding(in[0], options); },
          .reference =
              [options](const Arrays& in) {
                const Shape& s = in[0].shape;
                const int64_t heads = s[2], width = s[3], half = width / 2;
                const int64_t turned = options.rotated < 0 ? heads : options.rotated;
                Array y = in[0];
                for (int64_t row = 0; row < s[0] * s[1]; ++row) {
                  const auto position = static_cast<double>(options.first + row % s[1]);
                  for (int64_t h = 0; h < turned; ++h) {
                    for (int64_t d = 0; d < half; ++d) {
                      const int64_t at = (row * heads + h) * width + d;
                      const double frequency =
                          std::pow(options.theta, -2.0 * double(d) / double(width));
                      // A point in the plane, times e^(i angle).
                      const std::complex<double> p =
                          std::complex(y[at], y[at + half]) * std::polar(1.0, position * frequency);
                      y[at] = p.real();
                      y[at + half] = p.imag();
                    }
                  }
                }
                return y;
              },
          .empty_shapes = {{none}},
          .one_shapes = {{{1, 1, shape[2], 2}}}};
}

}  // namespace

std::vector<OpCase> rotary_cases() {
  return {
      rotary_case("narrow", {2, 3, 2, 2}),
      rotary_case("odd_half", {1, 5, 3, 6}, {.theta = 100}),
      rotary_case("packs", {2, 4, 3, 16}),
      rotary_case("wide", {1, 3, 1, 74}, {.theta = 5e5}),
      rotary_case("many_heads", {1, 2, 19, 8}, {.theta = 50}),
      rotary_case("far", {1, 3, 2, 8}, {.first = 200}),
      rotary_case("packed_projection", {2, 3, 4, 6}, {.rotated = 3}),
      rotary_case("none", {2, 3, 4, 2}, {.rotated = 0}),
  };
}

}  // namespace trireme::testing

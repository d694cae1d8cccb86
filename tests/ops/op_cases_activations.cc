// Rows of the activations that have a header of their own.

#include "core/ops/activations.h"

#include <cmath>

#include "core/ops/ops.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

OpCase activation(const std::string& name, std::function<Tensor(const Tensor&)> op,
                  std::function<double(double)> reference, double low = -4, double high = 4) {
  return {.name = name,
          .inputs = {real({3, 7}, low, high)},
          .op = [op](const Tensors& in) { return op(in[0]); },
          .reference = elementwise(reference)};
}

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }
double silu_of(double x) { return x * sigmoid_of(x); }

/// glu of x along a dimension, seen as [outer, 2, inner].
OpCase glu_case(const std::string& name, const Shape& shape, int dim, int from_front) {
  Shape none = shape;
  none[from_front] = 0;
  Shape one = Dims::filled(shape.rank(), 1);
  one[from_front] = 2;
  return {.name = "glu_" + name,
          .inputs = {real(shape, -4, 4)},
          .op = [dim](const Tensors& in) { return glu(in[0], dim); },
          .reference =
              [from_front](const Arrays& in) {
                Shape half = in[0].shape;
                half[from_front] /= 2;
                int64_t inner = 1;
                for (int d = from_front; d < half.rank(); ++d) inner *= half[d];
                Array y = Array::zeros(half);
                for (int64_t i = 0; i < half.product(); ++i) {
                  const int64_t a = i / inner * 2 * inner + i % inner;
                  y[i] = in[0][a] * sigmoid_of(in[0][a + inner]);
                }
                return y;
              },
          .empty_shapes = {{none}},
          .one_shapes = {{one}}};
}

}  // namespace

std::vector<OpCase> activation_cases() {
  return {
      activation("silu", silu, silu_of),
      activation(
          "elu", [](const Tensor& x) { return elu(x); },
          [](double x) { return x > 0 ? x : std::expm1(x); }),
      activation(
          "elu_alpha", [](const Tensor& x) { return elu(x, 0.7); },
          [](double x) { return x > 0 ? x : 0.7 * std::expm1(x); }),
      activation(
          "softplus", [](const Tensor& x) { return softplus(x); },
          [](double x) { return std::log1p(std::exp(x)); }),
      activation(
          "softplus_threshold", [](const Tensor& x) { return softplus(x, 2, 1.5); },
          [](double x) { return 2 * x > 1.5 ? x : std::log1p(std::exp(2 * x)) / 2; }),
      activation(
          "leaky_relu", [](const Tensor& x) { return leaky_relu(x, 0.2); },
          [](double x) { return x > 0 ? x : 0.2 * x; }),
      activation("mish", mish, [](double x) { return x * std::tanh(std::log1p(std::exp(x))); }),
      glu_case("last", {3, 10}, -1, 1),
      glu_case("first", {4, 3}, 0, 0),
      glu_case("middle", {2, 6, 5}, 1, 1),
      {.name = "swiglu",
       .inputs = {real({3, 7}, -4, 4), real({3, 7}, -4, 4)},
       .op = [](const Tensors& in) { return swiglu(in[0], in[1]); },
       .reference = elementwise([](double a, double b) { return silu_of(a) * b; })},
  };
}

}  // namespace trireme::testing

// Rows of the ops of one operand, and of conversions.

#include <cmath>
#include <numbers>

#include "core/ops/ops.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

// Not a multiple of any vector width, so that loops end in a remainder.
const Shape kShape = {3, 7};

OpCase unary(const std::string& name, Tensor (*op)(const Tensor&), double (*reference)(double),
             double low = -2, double high = 2) {
  return {.name = name,
          .inputs = {real(kShape, low, high)},
          .op = [op](const Tensors& in) { return op(in[0]); },
          .reference = elementwise(reference)};
}

OpCase with_scalar(const std::string& name, std::function<Tensor(const Tensor&)> op,
                   std::function<double(double)> reference, double low = -2, double high = 2) {
  return {.name = name,
          .inputs = {real(kShape, low, high)},
          .op = [op](const Tensors& in) { return op(in[0]); },
          .reference = elementwise(reference)};
}

OpCase rounded(int roundings, OpCase row) {
  row.roundings = roundings;
  return row;
}

OpCase for_integers_too(OpCase row) {
  row.dtypes = {DType::kF64, DType::kF32, DType::kI64, DType::kI32};
  return row;
}

double gelu_erf(double x) { return x * 0.5 * std::erfc(-x / std::numbers::sqrt2); }
double gelu_tanh(double x) {
  const double u = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return 0.5 * x * (1 + std::tanh(u));
}

// Long enough for several vectors and for a loop over threads.
OpCase large_tanh() {
  OpCase row = unary("tanh_large", tanh, std::tanh, -5, 5);
  row.inputs = {real({3, 40001}, -5, 5)};
  row.differentiable = false;  // central differences of 120,000 elements would take minutes
  return row;
}

}  // namespace

std::vector<OpCase> pointwise_cases() {
  return {
      unary("exp", exp, std::exp, -5, 5),
      unary("log", log, std::log, 0.1, 5),
      unary("sqrt", sqrt, std::sqrt, 0.1, 5),
      unary(
          "rsqrt", rsqrt, [](double x) { return 1 / std::sqrt(x); }, 0.1, 5),
      unary(
          "reciprocal", reciprocal, [](double x) { return 1 / x; }, 0.2, 3),
      unary("square", square, [](double x) { return x * x; }),
      unary("abs", abs, std::fabs),
      unary("sin", sin, std::sin),
      unary("cos", cos, std::cos),
      unary("tanh", tanh, std::tanh),
      large_tanh(),
      unary(
          "sigmoid", sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, -6, 6),
      unary("relu", relu, [](double x) { return std::max(x, 0.0); }),
      with_scalar(
          "gelu_erf", [](const Tensor& x) { return gelu(x, Gelu::kErf); }, gelu_erf, -5, 5),
      with_scalar(
          "gelu_tanh", [](const Tensor& x) { return gelu(x, Gelu::kTanh); }, gelu_tanh, -5, 5),
      with_scalar(
          "clamp", [](const Tensor& x) { return clamp(x, -1, 0.5); },
          [](double x) { return std::min(std::max(x, -1.0), 0.5); }),
      with_scalar(
          "pow_general", [](const Tensor& x) { return pow(x, 2.5); },
          [](double x) { return std::pow(x, 2.5); }, 0.1, 3),
      with_scalar(
          "pow_cube", [](const Tensor& x) { return pow(x, 3); },
          [](double x) { return x * x * x; }),
      with_scalar(
          "pow_zero", [](const Tensor& x) { return pow(x, 0); }, [](double) { return 1; }),
      with_scalar(
          "pow_square", [](const Tensor& x) { return pow(x, 2); }, [](double x) { return x * x; }),
      with_scalar(
          "pow_root", [](const Tensor& x) { return pow(x, 0.5); },
          [](double x) { return std::sqrt(x); }, 0.1, 3),
      with_scalar(
          "pow_inverse_root", [](const Tensor& x) { return pow(x, -0.5); },
          [](double x) { return 1 / std::sqrt(x); }, 0.1, 3),
      with_scalar(
          "pow_inverse", [](const Tensor& x) { return pow(x, -1); }, [](double x) { return 1 / x; },
          0.2, 3),
      for_integers_too(with_scalar(
          "add_number", [](const Tensor& x) { return x + 3; }, [](double x) { return x + 3; }, -9,
          9)),
      for_integers_too(with_scalar(
          "sub_number", [](const Tensor& x) { return x - 2; }, [](double x) { return x - 2; }, -9,
          9)),
      for_integers_too(with_scalar(
          "mul_number", [](const Tensor& x) { return -3 * x; }, [](double x) { return -3 * x; }, -9,
          9)),
      with_scalar(
          "div_number", [](const Tensor& x) { return x / 3; }, [](double x) { return x / 3; }),
      rounded(3, with_scalar(
                     "rdiv_number", [](const Tensor& x) { return 3 / (x + 4); },
                     [](double x) { return 3 / (x + 4); })),
      for_integers_too(with_scalar(
          "rsub_number", [](const Tensor& x) { return 2 - x; }, [](double x) { return 2 - x; }, -9,
          9)),
      for_integers_too(unary(
          "neg", neg, [](double x) { return -x; }, -9, 9)),
      with_scalar(
          "contiguous", [](const Tensor& x) { return contiguous(x); }, [](double x) { return x; }),
      {.name = "to_f64",
       .inputs = {real(kShape)},
       .op = [](const Tensors& in) { return to(in[0], DType::kF64); },
       .reference = elementwise([](double x) { return x; }),
       .dtypes = {DType::kF64, DType::kF32, DType::kI64, DType::kI32, DType::kU8, DType::kBool},
       .result_dtype = DType::kF64},
      {.name = "to_i32",
       .inputs = {real(kShape, -9, 9)},
       .op = [](const Tensors& in) { return to(in[0], DType::kI32); },
       .reference = elementwise([](double x) { return std::trunc(x); }),
       .result_dtype = DType::kI32,
       .differentiable = false},
      {.name = "to_bool",
       .inputs = {real(kShape, 0, 3)},
       .op = [](const Tensors& in) { return to(in[0], DType::kBool); },
       .reference = elementwise([](double x) { return x != 0; }),
       .dtypes = {DType::kF64, DType::kF32, DType::kI64, DType::kI32, DType::kU8},
       .result_dtype = DType::kBool,
       .differentiable = false},
  };
}

}  // namespace trireme::testing

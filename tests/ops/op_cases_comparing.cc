// Rows of comparisons and logic.

#include "core/ops/ops.h"
#include "tests/ops/array_index.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

using Holds = bool (*)(double, double);
using OfTensors = Tensor (*)(const Tensor&, const Tensor&);
using OfNumber = Tensor (*)(const Tensor&, double);

OpCase number_case(const std::string& name, OfNumber op, Holds holds) {
  return {.name = name + "_number",
          .inputs = {real({3, 4})},
          .op = [op](const Tensors& in) { return op(in[0], 1); },
          .reference = elementwise([holds](double x) { return holds(x, 1) ? 1.0 : 0.0; }),
          .dtypes = kAllDtypes,
          .result_dtype = DType::kBool,
          .differentiable = false};
}

/// There is no operand under test: one run, whatever its dtype is called.
OpCase logic_case(const std::string& name, OfTensors op, Holds holds) {
  return {.name = name,
          .inputs = {booleans({3, 1}), booleans({4})},
          .op = [op](const Tensors& in) { return op(in[0], in[1]); },
          .reference = elementwise([holds](double a, double b) { return holds(a, b) ? 1.0 : 0.0; }),
          .dtypes = {DType::kF32},
          .roundings = 0,
          .result_dtype = DType::kBool,
          .differentiable = false,
          .empty_shapes = {{{0, 1}, {4}}}};
}

}  // namespace

std::vector<OpCase> comparing_cases() {
  return {
      number_case("equal", equal, [](double a, double b) { return a == b; }),
      number_case("not_equal", not_equal, [](double a, double b) { return a != b; }),
      number_case("greater", greater, [](double a, double b) { return a > b; }),
      number_case("greater_equal", greater_equal, [](double a, double b) { return a >= b; }),
      number_case("less", less, [](double a, double b) { return a < b; }),
      number_case("less_equal", less_equal, [](double a, double b) { return a <= b; }),
      logic_case("logical_and", logical_and, [](double a, double b) { return a != 0 && b != 0; }),
      logic_case("logical_or", logical_or, [](double a, double b) { return a != 0 || b != 0; }),
      logic_case("logical_xor", logical_xor,
                 [](double a, double b) { return (a != 0) != (b != 0); }),
      {.name = "logical_not",
       .inputs = {booleans({3, 4})},
       .op = [](const Tensors& in) { return logical_not(in[0]); },
       .reference = elementwise([](double x) { return x == 0 ? 1.0 : 0.0; }),
       .dtypes = {DType::kF32},
       .roundings = 0,
       .result_dtype = DType::kBool,
       .differentiable = false},
  };
}

}  // namespace trireme::testing

// Rows of the ops of two operands, of comparison and of choice, each with its forms of
// broadcasting.

#include "core/ops/ops.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

using Binary = Tensor (*)(const Tensor&, const Tensor&);

const std::vector<DType> kArithmetic = {DType::kF64, DType::kF32, DType::kI64, DType::kI32};
const std::vector<DType> kAll = {DType::kF64, DType::kF32, DType::kI64,
                                 DType::kI32, DType::kU8,  DType::kBool};

struct Broadcast {
  std::string suffix;
  Shape lhs, rhs, empty_lhs, empty_rhs;
};
const std::vector<Broadcast> kBroadcasts = {
    {"", {3, 7}, {3, 7}, {0, 7}, {0, 7}},        {"_row", {3, 7}, {7}, {0, 7}, {7}},
    {"_column", {3, 7}, {3, 1}, {3, 0}, {3, 1}}, {"_scalar", {}, {3, 7}, {}, {0, 7}},
    {"_outer", {5, 1}, {4}, {5, 1}, {0}},        {"_middle", {2, 1, 3}, {4, 1}, {2, 1, 0}, {4, 1}},
};

/// One row per form of broadcasting. The right operand is drawn from [rhs_low, rhs_high).
void add_rows(std::vector<OpCase>& rows, const std::string& name, Binary op,
              double (*reference)(double, double), const std::vector<DType>& dtypes,
              bool differentiable, double rhs_low, double rhs_high) {
  for (const Broadcast& b : kBroadcasts) {
    rows.push_back({.name = name + b.suffix,
                    .inputs = {real(b.lhs, -4, 4), real(b.rhs, rhs_low, rhs_high)},
                    .op = [op](const Tensors& in) { return op(in[0], in[1]); },
                    .reference = elementwise(reference),
                    .dtypes = dtypes,
                    // Only comparisons have no gradient.
                    .result_dtype = differentiable ? std::nullopt : std::optional(DType::kBool),
                    .differentiable = differentiable,
                    .empty_shapes = Shapes{b.empty_lhs, b.empty_rhs}});
  }
}

}  // namespace

std::vector<OpCase> binary_cases() {
  std::vector<OpCase> rows;
  const auto arithmetic = [&](const std::string& name, Binary op,
                              double (*reference)(double, double)) {
    add_rows(rows, name, op, reference, kArithmetic, true, -4, 4);
  };
  arithmetic("add", add, [](double a, double b) { return a + b; });
  arithmetic("sub", sub, [](double a, double b) { return a - b; });
  arithmetic("mul", mul, [](double a, double b) { return a * b; });
  arithmetic("maximum", maximum, [](double a, double b) { return std::max(a, b); });
  arithmetic("minimum", minimum, [](double a, double b) { return std::min(a, b); });
  add_rows(
      rows, "div", div, [](double a, double b) { return a / b; }, {DType::kF64, DType::kF32}, true,
      0.5, 3);
  add_rows(
      rows, "greater", greater, [](double a, double b) { return double(a > b); }, kAll, false, -4,
      4);
  const auto comparison = [&](const std::string& name, Binary op, double (*holds)(double, double)) {
    add_rows(rows, name, op, holds, kAll, false, -2, 2);
  };
  comparison("equal", equal, [](double a, double b) { return double(a == b); });
  comparison("not_equal", not_equal, [](double a, double b) { return double(a != b); });
  comparison("greater_equal", greater_equal, [](double a, double b) { return double(a >= b); });
  comparison("less", less, [](double a, double b) { return double(a < b); });
  comparison("less_equal", less_equal, [](double a, double b) { return double(a <= b); });
  const auto choice = [](double c, double a, double b) { return c != 0 ? a : b; };
  rows.push_back({.name = "where",
                  .inputs = {booleans({3, 7}), real({3, 7}), real({3, 7})},
                  .op = [](const Tensors& in) { return where(in[0], in[1], in[2]); },
                  .reference = elementwise(choice),
                  .dtypes = kAll});
  rows.push_back({.name = "where_broadcast",
                  .inputs = {booleans({3, 1}), real({7}), real({})},
                  .op = [](const Tensors& in) { return where(in[0], in[1], in[2]); },
                  .reference = elementwise(choice),
                  .empty_shapes = Shapes{{3, 1}, {0}, {}}});
  // Both operands are one tensor: its two gradients add up.
  rows.push_back({.name = "mul_with_itself",
                  .inputs = {real({3, 7})},
                  .op = [](const Tensors& in) { return in[0] * in[0]; },
                  .reference = elementwise([](double x) { return x * x; })});
  return rows;
}

}  // namespace trireme::testing

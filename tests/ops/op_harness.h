// The table that tests every op: one row states an op, its operands and a reference in double
// precision; the harness derives the tests (op_cases_test.cc instantiates them for all rows).
//
//   {.name = "mul_broadcast",
//    .inputs = {real({3, 1}), real({4})},
//    .op = [](const Tensors& in) { return in[0] * in[1]; },
//    .reference = elementwise([](double a, double b) { return a * b; }),
//    .empty_shapes = {{{0, 1}, {4}}}},
//
// For each row: against the reference in every dtype; gradients against central differences in f64
// (on a device, against the CPU's), and those of the other dtypes against those in f64 of the same
// numbers; gradients of gradients against differences; operands that are not contiguous, and a dy
// that is not; an empty tensor; one element. A failure prints the case, the operands and the first
// element that differs.
//
// Everything runs on test_device().

#pragma once

#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "core/tensor/tensor.h"
#include "tests/support/test_device.h"

namespace trireme::testing {

using Tensors = std::vector<Tensor>;
using Shapes = std::vector<Shape>;

/// What references compute with: row-major values in double precision.
struct Array {
  Shape shape;
  std::vector<double> values;

  static Array zeros(const Shape& shape);
  double& operator[](int64_t i) { return values[static_cast<size_t>(i)]; }
  double operator[](int64_t i) const { return values[static_cast<size_t>(i)]; }
};
using Arrays = std::vector<Array>;
using Reference = std::function<Array(const Arrays& in)>;

/// One operand. Elements are drawn uniformly with a fixed seed that depends on the case's name.
struct OpInput {
  Shape shape;
  double low = -2;
  double high = 2;
  /// Unset: the dtype under test. Set: always this one (indices, conditions), without gradient.
  std::optional<DType> dtype = {};
  bool needs_grad = true;
};
/// Real numbers in [low, high), in the dtype under test, with gradient.
OpInput real(const Shape& shape, double low = -2, double high = 2);
/// Integers in [low, high).
OpInput integers(const Shape& shape, int64_t low, int64_t high, DType dtype = DType::kI64);
OpInput booleans(const Shape& shape);

/// Shapes that say "this op has no such input": the reason stands in the row's comment.
inline const Shapes kNotApplicable = {};

struct OpCase {
  std::string name;  // letters, digits and _, unique
  std::vector<OpInput> inputs;
  std::function<Tensor(const Tensors& in)> op;
  Reference reference;
  /// Largest |got - reference| / max(1, |reference|) in f32. In f64 it is 1e-12, integers are
  /// exact.
  double tolerance = 1e-6;
  /// Dtypes of the operands under test. Gradients are checked in f64 whatever stands here. A row
  /// that runs in f32 also runs in bf16 and f16, see `roundings`.
  std::vector<DType> dtypes = {DType::kF64, DType::kF32};
  /// How often an element is rounded to 16 bits on its way through `op`: 1 for one op, since an op
  /// computes in f32 and rounds once. The reference computes from the same rounded operands, so a
  /// result is off by at most that many times the unit roundoff (2^-8 in bf16, 2^-11 in f16)
  /// relative to itself, plus the f32 tolerance. 0: the op does not take 16-bit operands.
  int roundings = 1;
  /// How many more of them the op's values go through on CUDA, by the contract of its kernel. They
  /// do not widen the bound on gradients.
  int more_roundings_on_cuda = 0;
  /// 16-bit operands give an f32 result, which is held to the f32 tolerance.
  bool widens = false;
  /// Dtype of the result. Unset: that of the operands under test where they are floating.
  std::optional<DType> result_dtype = {};
  bool differentiable = true;
  /// Name of the op whose gradient cannot be differentiated again, where there is one.
  std::string differentiable_once = "";
  /// Shapes of the inputs in the run on empty tensors. Unset: the first dimension becomes 0, which
  /// requires that all inputs have one shape of rank >= 1.
  std::optional<Shapes> empty_shapes = {};
  /// Shapes of the inputs in the run on single elements. Unset: all extents become 1.
  std::optional<Shapes> one_shapes = {};
};
std::ostream& operator<<(std::ostream& out, const OpCase& row);

/// Reference of a unary, or broadcasting binary or ternary, elementwise op.
Reference elementwise(std::function<double(double)> fn);
Reference elementwise(std::function<double(double, double)> fn);
Reference elementwise(std::function<double(double, double, double)> fn);

// The checks. Each reports through GoogleTest's EXPECT.

void check_reference(const OpCase& row);
/// Requires row.differentiable. On a device the f64 gradients are compared with the CPU's, whose
/// own run compares them with differences. Also compares the f32 gradients with the f64 ones,
/// within 100 times the row's tolerance, and the 16-bit ones within 8 more roundings: of saved
/// results, of each addend of a sum.
void check_gradient(const OpCase& row);
/// Requires row.differentiable. Gradients of gradients against differences, or, where the row says
/// so, the refusal that names the op.
void check_second_gradient(const OpCase& row);
/// Operands with transposed (rank 1: doubled) strides that do not start their storage, operands
/// that repeat one element along their first dimension, and the same for dy: values and gradients
/// must equal those of contiguous operands.
void check_non_contiguous(const OpCase& row);
/// These two require that the row's shapes are not kNotApplicable.
void check_empty(const OpCase& row);
void check_one_element(const OpCase& row);

/// The row's operands in f64, those with gradient as leaves.
Tensors draw_leaves(const OpCase& row);
/// A gradient of the op's result, in f64.
Tensor draw_dy(const OpCase& row, const Tensors& in);

/// Expects `got` to have the reference's shape and values within `tolerance`; `what` opens the
/// message.
void expect_close(const Tensor& got, const Array& reference, double tolerance,
                  const std::string& what);
/// Row-major values of any tensor.
Array to_array(const Tensor& x);

}  // namespace trireme::testing

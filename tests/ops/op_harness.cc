#include "tests/ops/op_harness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <ostream>

#include "core/autograd/backward.h"
#include "core/autograd/gradcheck.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"
#include "core/tensor/transfer.h"
#include "core/tensor/view.h"
#include "tests/support/strided.h"

namespace trireme::testing {
namespace {

constexpr double kF64Tolerance = 1e-12;

// FNV-1a, so that a case draws the same numbers whatever rows stand around it.
uint64_t seed_of(const std::string& name) {
  uint64_t hash = 14695981039346656037u;
  for (unsigned char c : name) hash = (hash ^ c) * 1099511628211u;
  return hash;
}

// The first entry along the first dimension, repeated with a stride of 0.
Tensor repeated(const Tensor& x) {
  if (x.rank() == 0 || x.numel() == 0) return x;
  return views::expand(views::slice(x, 0, 0, 1), x.shape());
}

bool is_under_test(const OpInput& input) { return !input.dtype.has_value(); }

Tensor draw(const OpInput& input, const Shape& shape, DType dtype, Generator& generator) {
  std::vector<double> values;
  for (int64_t i = 0; i < shape.product(); ++i) {
    const double value = input.low + (input.high - input.low) * generator.next_uniform();
    values.push_back(is_floating(dtype)    ? value
                     : dtype == DType::kU8 ? std::floor(std::abs(value))
                                           : std::floor(value));
  }
  return to_device(cast(from_vector(values, shape), dtype), test_device());
}

Tensors draw_all(const OpCase& row, DType dtype, const Shapes* shapes = nullptr) {
  Generator generator(seed_of(row.name));
  Tensors tensors;
  for (size_t i = 0; i < row.inputs.size(); ++i) {
    const OpInput& input = row.inputs[i];
    tensors.push_back(
        draw(input, shapes ? shapes->at(i) : input.shape, input.dtype.value_or(dtype), generator));
  }
  return tensors;
}

void want_gradients(const OpCase& row, Tensors& tensors) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (is_under_test(row.inputs[i]) && row.inputs[i].needs_grad) tensors[i].set_requires_grad();
  }
}

std::vector<DType> dtypes_of(const OpCase& row) {
  std::vector<DType> dtypes = row.dtypes;
  if (row.roundings > 0 && std::count(dtypes.begin(), dtypes.end(), DType::kF32) > 0) {
    dtypes.insert(dtypes.end(), {DType::kBF16, DType::kF16});
  }
  return dtypes;
}

double roundoff_of(DType dtype) { return dtype == DType::kBF16 ? 0x1p-8 : 0x1p-11; }

double tolerance_of(const OpCase& row, DType dtype) {
  if (dtype == DType::kF64) return kF64Tolerance;
  if (!is_floating(dtype)) return 0;
  if (dtype == DType::kF32 || row.widens) return row.tolerance;
  const int more = test_device().is_cpu() ? 0 : row.more_roundings_on_cuda;
  return (row.roundings + more) * roundoff_of(dtype) + row.tolerance;
}

double gradient_tolerance_of(const OpCase& row, DType dtype) {
  constexpr double kSlack = 100;  // gradients chain several roundings
  constexpr int kMoreRoundings = 8;
  if (dtype == DType::kF64) return kF64Tolerance;
  const double wide = kSlack * row.tolerance;
  if (dtype == DType::kF32) return wide;
  return (row.roundings + kMoreRoundings) * roundoff_of(dtype) + wide;
}

DType result_of(const OpCase& row, DType dtype) {
  return row.result_dtype.value_or(row.widens ? acc_dtype(dtype) : dtype);
}

std::string describe(const OpCase& row, DType dtype, const Tensors& in) {
  std::string text = concat(row.name, " in ", name_of(dtype));
  for (size_t i = 0; i < in.size(); ++i) text += concat("\n  input ", i, ": ", in[i]);
  return text;
}

void check_values(const OpCase& row, DType dtype, const Tensors& in) {
  Arrays arrays;
  for (const Tensor& x : in) arrays.push_back(to_array(x));
  const Tensor got = row.op(in);
  if (row.result_dtype || is_floating(dtype)) {
    EXPECT_EQ(got.dtype(), result_of(row, dtype)) << describe(row, dtype, in);
  }
  Array want = row.reference(arrays);
  if (got.dtype() == DType::kF16) {
    constexpr double kOverflow = 65520;  // rounds to infinity
    for (double& v : want.values) v = std::abs(v) >= kOverflow ? std::copysign(INFINITY, v) : v;
  }
  expect_close(got, want, tolerance_of(row, dtype), describe(row, dtype, in));
}

// Runs op and backward with `dy` and returns the gradients of the inputs that want one.
Tensors gradients(const OpCase& row, Tensors in, const Tensor& dy) {
  want_gradients(row, in);
  backward(row.op(in), {.gradient = dy});
  Tensors grads;
  for (const Tensor& x : in) {
    if (x.requires_grad()) grads.push_back(x.grad());
  }
  return grads;
}

// Gradients of `dtype` against those of the same numbers in f64.
void check_narrow_gradient(const OpCase& row, DType dtype) {
  const Tensors in = draw_all(row, dtype);
  Tensors exact;
  for (size_t i = 0; i < in.size(); ++i) {
    exact.push_back(is_under_test(row.inputs[i]) ? cast(in[i], DType::kF64) : in[i]);
  }
  const Tensor dy = cast(draw_dy(row, exact), result_of(row, dtype));
  const Tensors got = gradients(row, in, dy);
  const Tensors want = gradients(row, exact, cast(dy, row.result_dtype.value_or(DType::kF64)));
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(got[i].dtype(), dtype) << row.name << ", gradient of input " << i;
    expect_close(got[i], to_array(want[i]), gradient_tolerance_of(row, dtype),
                 concat(row.name, ": gradient ", i, " in ", name_of(dtype)));
  }
}

// f64 gradients on the device under test against those of the CPU, which differences have confirmed
// there. Differences take two runs of the op per element.
void check_gradient_on_device(const OpCase& row) {
  const Tensors in = draw_all(row, DType::kF64);
  Tensors on_cpu;
  for (const Tensor& x : in) on_cpu.push_back(to_device(x, Device{}));
  const Tensor dy = cast(draw_dy(row, in), row.result_dtype.value_or(DType::kF64));
  const Tensors want = gradients(row, on_cpu, to_device(dy, Device{}));
  const Tensors got = gradients(row, in, dy);
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(got[i].device(), in[i].device()) << row.name << ", gradient of input " << i;
    expect_close(got[i], to_array(want[i]), kF64Tolerance,
                 concat(row.name, ": gradient ", i, " on ", in[i].device(), " against the CPU's"));
  }
}

// Gradients of strided operands against those of their dense copies.
void check_strided_gradient(const OpCase& row, DType dtype, Tensor (*strided)(const Tensor&)) {
  Tensors in, dense;
  for (const Tensor& x : draw_all(row, dtype)) {
    in.push_back(strided(x));
    dense.push_back(clone_detached(in.back()));
  }
  const Tensor dy = strided(cast(draw_dy(row, dense), result_of(row, dtype)));
  const Tensors want = gradients(row, dense, clone_detached(dy));
  const Tensors got = gradients(row, in, dy);
  for (size_t i = 0; i < want.size(); ++i) {
    expect_close(got[i], to_array(want[i]), gradient_tolerance_of(row, dtype),
                 concat(row.name, ": gradient ", i, " in ", name_of(dtype),
                        " of operands that are not contiguous"));
  }
}

Array broadcast(const Arrays& in, const std::function<double(const std::vector<double>&)>& fn) {
  Shape shape = in[0].shape;
  for (const Array& a : in) shape = broadcast_shapes("reference", shape, a.shape);
  Array out = Array::zeros(shape);
  std::vector<double> operands(in.size());
  for (int64_t i = 0; i < shape.product(); ++i) {
    for (size_t k = 0; k < in.size(); ++k) {
      const Strides strides =
          broadcast_strides(in[k].shape, contiguous_strides(in[k].shape), shape);
      int64_t rest = i, at = 0;
      for (int d = shape.rank() - 1; d >= 0; --d) {
        at += rest % shape[d] * strides[d];
        rest /= shape[d];
      }
      operands[k] = in[k][at];
    }
    out[i] = fn(operands);
  }
  return out;
}

// A run on other shapes: values in every dtype, and backward where there is one.
void check_shapes(const OpCase& row, const Shapes& shapes) {
  ASSERT_EQ(shapes.size(), row.inputs.size()) << row.name << ": one shape per input";
  for (DType dtype : dtypes_of(row)) check_values(row, dtype, draw_all(row, dtype, &shapes));
  if (!row.differentiable) return;
  const Tensors in = draw_all(row, DType::kF64, &shapes);
  const Tensors grads = gradients(row, in, ones_like(row.op(in)));
  size_t next = 0;
  for (size_t i = 0; i < in.size(); ++i) {
    if (!is_under_test(row.inputs[i]) || !row.inputs[i].needs_grad) continue;
    const Tensor& grad = grads[next++];
    if (grad.defined()) {
      EXPECT_EQ(grad.shape(), in[i].shape()) << row.name << ", gradient of input " << i;
    }
  }
}

}  // namespace

Array Array::zeros(const Shape& shape) {
  return {shape, std::vector<double>(static_cast<size_t>(shape.product()))};
}

OpInput real(const Shape& shape, double low, double high) { return {shape, low, high}; }

OpInput integers(const Shape& shape, int64_t low, int64_t high, DType dtype) {
  return {shape, static_cast<double>(low), static_cast<double>(high), dtype, false};
}

OpInput booleans(const Shape& shape) { return integers(shape, 0, 2, DType::kBool); }

std::ostream& operator<<(std::ostream& out, const OpCase& row) { return out << row.name; }

Reference elementwise(std::function<double(double)> fn) {
  return [fn](const Arrays& in) {
    return broadcast({in[0]}, [&](const std::vector<double>& v) { return fn(v[0]); });
  };
}

Reference elementwise(std::function<double(double, double)> fn) {
  return [fn](const Arrays& in) {
    return broadcast(in, [&](const std::vector<double>& v) { return fn(v[0], v[1]); });
  };
}

Reference elementwise(std::function<double(double, double, double)> fn) {
  return [fn](const Arrays& in) {
    return broadcast(in, [&](const std::vector<double>& v) { return fn(v[0], v[1], v[2]); });
  };
}

Array to_array(const Tensor& x) { return {x.shape(), x.to_vector<double>()}; }

void expect_close(const Tensor& got, const Array& reference, double tolerance,
                  const std::string& what) {
  ASSERT_EQ(got.shape(), reference.shape) << what;
  const std::vector<double> values = got.to_vector<double>();
  for (size_t i = 0; i < values.size(); ++i) {
    const double want = reference.values[i];
    const bool same = values[i] == want || (std::isnan(values[i]) && std::isnan(want)) ||
                      std::abs(values[i] - want) <= tolerance * std::max(1.0, std::abs(want));
    ASSERT_TRUE(same) << what << "\n  element " << i << " of " << got.shape() << " is " << values[i]
                      << ", reference " << want << ", difference " << values[i] - want;
  }
}

Tensors draw_leaves(const OpCase& row) {
  Tensors in = draw_all(row, DType::kF64);
  want_gradients(row, in);
  return in;
}

Tensor draw_dy(const OpCase& row, const Tensors& in) {
  Generator generator(seed_of(row.name) + 1);
  return to_device(randn(row.op(in).shape(), generator, {DType::kF64}), test_device());
}

void check_reference(const OpCase& row) {
  for (DType dtype : dtypes_of(row)) check_values(row, dtype, draw_all(row, dtype));
}

void check_gradient(const OpCase& row) {
  if (test_device().is_cpu()) {
    const Tensors in = draw_leaves(row);
    EXPECT_NO_THROW(gradcheck(row.op, in)) << describe(row, DType::kF64, in);
  } else {
    check_gradient_on_device(row);
  }
  for (DType dtype : dtypes_of(row)) {
    if (is_floating(dtype) && dtype != DType::kF64) check_narrow_gradient(row, dtype);
  }
}

void check_non_contiguous(const OpCase& row) {
  for (const auto& strided : {transposed_copy, repeated}) {
    for (DType dtype : dtypes_of(row)) {
      Tensors in = draw_all(row, dtype);
      for (Tensor& x : in) x = strided(x);
      check_values(row, dtype, in);
    }
    if (!row.differentiable) continue;
    for (DType dtype : dtypes_of(row)) {
      if (is_floating(dtype)) check_strided_gradient(row, dtype, strided);
    }
  }
}

void check_empty(const OpCase& row) {
  if (row.empty_shapes) return check_shapes(row, *row.empty_shapes);
  Shapes shapes;
  for (const OpInput& input : row.inputs) {
    ASSERT_TRUE(input.shape.rank() > 0 && input.shape == row.inputs[0].shape)
        << row.name << ": the row must say its empty_shapes";
    shapes.push_back(input.shape);
    shapes.back()[0] = 0;
  }
  check_shapes(row, shapes);
}

void check_one_element(const OpCase& row) {
  if (row.one_shapes) return check_shapes(row, *row.one_shapes);
  Shapes shapes;
  for (const OpInput& input : row.inputs) {
    shapes.push_back(Dims::filled(input.shape.rank(), 1));
  }
  check_shapes(row, shapes);
}

}  // namespace trireme::testing

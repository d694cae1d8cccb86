// Rows of the matrix products.

#include "core/ops/ops.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

/// out[.., i, j] = sum_p a[.., i, p] b[.., p, j], broadcasting the leading dimensions.
Array product(const Array& a, const Array& b) {
  const auto leading = [](const Shape& s) { return Shape(std::span(s.begin(), s.end() - 2)); };
  const int64_t m = a.shape[a.shape.rank() - 2], k = a.shape.back(), n = b.shape.back();
  const Shape batch = broadcast_shapes("reference", leading(a.shape), leading(b.shape));
  Shape shape = batch;
  shape.push_back(m);
  shape.push_back(n);
  Array out = Array::zeros(shape);
  const auto offset = [&](const Array& x, int64_t index) {
    const Shape own = leading(x.shape);
    const Strides strides = broadcast_strides(own, contiguous_strides(own), batch);
    int64_t at = 0;
    for (int d = batch.rank() - 1; d >= 0; --d) {
      at += index % batch[d] * strides[d];
      index /= batch[d];
    }
    return at;
  };
  for (int64_t t = 0; t < batch.product(); ++t) {
    const int64_t at_a = offset(a, t) * m * k, at_b = offset(b, t) * k * n;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (int64_t p = 0; p < k; ++p) sum += a[at_a + i * k + p] * b[at_b + p * n + j];
        out[(t * m + i) * n + j] = sum;
      }
    }
  }
  return out;
}

OpCase matmul_case(const std::string& name, const Shape& a, const Shape& b, Shapes empty_shapes) {
  return {.name = "matmul_" + name,
          .inputs = {real(a), real(b)},
          .op = [](const Tensors& in) { return matmul(in[0], in[1]); },
          .reference = [](const Arrays& in) { return product(in[0], in[1]); },
          .tolerance = 2e-5,
          .empty_shapes = std::move(empty_shapes)};
}

Array linear_reference(const Arrays& in) {
  Array x = in[0];
  const Shape shape = x.shape;
  x.shape = {shape.product() / std::max<int64_t>(1, shape.back()), shape.back()};
  Array y = product(x, in[1]);
  const int64_t n = y.shape.back();
  if (in.size() == 3) {
    for (int64_t i = 0; i < y.shape.product(); ++i) y[i] += in[2][i % n];
  }
  y.shape = shape;
  y.shape.back() = n;
  return y;
}

OpCase linear_case(const std::string& name, std::vector<OpInput> inputs, Shapes empty_shapes) {
  const bool has_bias = inputs.size() == 3;
  return {
      .name = "linear_" + name,
      .inputs = std::move(inputs),
      .op = [has_bias](
                const Tensors& in) { return linear(in[0], in[1], has_bias ? in[2] : Tensor()); },
      .reference = linear_reference,
      .tolerance = 2e-5,
      // cuBLASLt's first guess may add the bias of a small product to what it has rounded.
      .more_roundings_on_cuda = has_bias ? 1 : 0,
      .empty_shapes = std::move(empty_shapes)};
}

}  // namespace

std::vector<OpCase> product_cases() {
  return {
      matmul_case("matrices", {3, 4}, {4, 5}, {{0, 4}, {4, 5}}),
      // An empty inner dimension is a sum of nothing: zeros.
      matmul_case("empty_sum", {7, 13}, {13, 1}, {{3, 0}, {0, 2}}),
      matmul_case("batched", {2, 3, 4}, {2, 4, 5}, {{0, 3, 4}, {0, 4, 5}}),
      matmul_case("batch_times_matrix", {2, 3, 4}, {4, 5}, {{0, 3, 4}, {4, 5}}),
      matmul_case("matrix_times_batch", {3, 4}, {2, 4, 5}, {{3, 4}, {0, 4, 5}}),
      matmul_case("broadcast_both", {2, 1, 3, 4}, {3, 4, 2}, {{2, 1, 3, 4}, {0, 4, 2}}),
      matmul_case("broadcast_one", {2, 3, 2, 4}, {2, 1, 4, 3}, {{2, 0, 2, 4}, {2, 1, 4, 3}}),
      // Beyond the size that one thread does alone; the gradient of so many elements is checked
      // where the operands are small.
      {.name = "matmul_large",
       .inputs = {real({150, 130}), real({130, 140})},
       .op = [](const Tensors& in) { return matmul(in[0], in[1]); },
       .reference = [](const Arrays& in) { return product(in[0], in[1]); },
       .tolerance = 2e-5,
       .differentiable = false,
       .empty_shapes = {{{0, 4}, {4, 5}}}},
      linear_case("bias", {real({4, 3}), real({3, 5}), real({5})}, {{0, 3}, {3, 5}, {5}}),
      linear_case("no_bias", {real({4, 3}), real({3, 5})}, {{0, 3}, {3, 5}}),
      linear_case("three_dims", {real({2, 3, 4}), real({4, 2}), real({2})},
                  {{0, 3, 4}, {4, 2}, {2}}),
      linear_case("vector", {real({4}), real({4, 3}), real({3})}, {{4}, {4, 0}, {0}}),
  };
}

}  // namespace trireme::testing

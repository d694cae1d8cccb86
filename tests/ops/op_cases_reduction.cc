// Rows of sums, means and largest elements over dimensions in every position.

#include <limits>

#include "core/ops/ops.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

const std::vector<DType> kAll = {DType::kF64, DType::kF32, DType::kI64,
                                 DType::kI32, DType::kU8,  DType::kBool};

/// Folds the dimensions `dims` of the operand; fold(accumulated, value, position along the last of
/// `dims`). `keep` leaves extents of 1.
Reference folded(std::vector<int> dims, KeepDim keep, double start,
                 std::function<double(double, double)> fold, bool average = false) {
  return [=](const Arrays& in) {
    const Array& x = in[0];
    Shape kept = x.shape;
    int64_t count = 1;
    for (int d : dims) {
      count *= kept[d];
      kept[d] = 1;
    }
    Array y = Array::zeros(kept);
    std::fill(y.values.begin(), y.values.end(), start);
    const Strides strides = broadcast_strides(kept, contiguous_strides(kept), x.shape);
    for (int64_t i = 0; i < x.shape.product(); ++i) {
      int64_t rest = i, at = 0;
      for (int d = x.shape.rank() - 1; d >= 0; --d) {
        at += rest % x.shape[d] * (kept[d] == 1 ? 0 : strides[d]);
        rest /= x.shape[d];
      }
      y[at] = fold(y[at], x[i]);
    }
    if (average) {
      for (double& v : y.values) v /= static_cast<double>(count);
    }
    if (keep == KeepDim::kNo) {
      y.shape = Shape();
      for (int d = 0; d < kept.rank(); ++d) {
        if (std::find(dims.begin(), dims.end(), d) == dims.end()) y.shape.push_back(kept[d]);
      }
    }
    return y;
  };
}

double plus(double a, double b) { return a + b; }
double larger(double a, double b) { return std::max(a, b); }

OpCase sum_case(const std::string& name, const Shape& shape, std::vector<int> dims,
                KeepDim keep = KeepDim::kNo) {
  return {.name = "sum_" + name,
          .inputs = {real(shape, -4, 4)},
          .op = [=](const Tensors& in) { return sum(in[0], dims, keep); },
          .reference = folded(dims, keep, 0, plus),
          .dtypes = kAll};
}

// Too many elements for central differences; the small rows check the gradient.
OpCase large(OpCase row) {
  row.dtypes = {DType::kF32, DType::kI32};
  row.differentiable = false;
  return row;
}

OpCase max_case(const std::string& name, const Shape& shape, int dim, KeepDim keep,
                Shapes empty_shapes) {
  return {.name = "max_" + name,
          .inputs = {real(shape, -40, 40)},
          .op = [=](const Tensors& in) { return max(in[0], dim, keep); },
          .reference = folded({dim}, keep, -std::numeric_limits<double>::infinity(), larger),
          .dtypes = {DType::kF64, DType::kF32, DType::kI64, DType::kI32},
          .empty_shapes = empty_shapes};
}

OpCase mean_case(const std::string& name, int dim, KeepDim keep, Shapes empty_shapes) {
  return {.name = "mean_" + name,
          .inputs = {real({3, 5, 4})},
          .op = [=](const Tensors& in) { return mean(in[0], dim, keep); },
          .reference = folded({dim}, keep, 0, plus, true),
          .empty_shapes = empty_shapes};
}

OpCase argmax_case(const std::string& name, const Shape& shape, int dim, Shapes empty_shapes) {
  return {.name = "argmax_" + name,
          .inputs = {real(shape, -4, 4)},
          .op = [=](const Tensors& in) { return argmax(in[0], dim); },
          .reference =
              [=](const Arrays& in) {
                const Array& x = in[0];
                Array y = Array::zeros(x.shape);
                y.shape.erase(dim);
                y.values.resize(static_cast<size_t>(y.shape.product()));
                int64_t inner = 1;
                for (int d = dim + 1; d < x.shape.rank(); ++d) inner *= x.shape[d];
                for (int64_t i = 0; i < y.shape.product(); ++i) {
                  const int64_t first = i / inner * inner * x.shape[dim] + i % inner;
                  for (int64_t k = 1; k < x.shape[dim]; ++k) {
                    const int64_t best = static_cast<int64_t>(y[i]);
                    if (x[first + k * inner] > x[first + best * inner]) y[i] = double(k);
                  }
                }
                return y;
              },
          .dtypes = kAll,
          .result_dtype = DType::kI64,
          .differentiable = false,
          .empty_shapes = empty_shapes};
}

OpCase sum_to_case(const std::string& name, const Shape& from, const Shape& to,
                   std::vector<int> dims, const Shape& empty, const Shape& empty_to) {
  return {.name = "sum_to_" + name,
          .inputs = {real(from)},
          .op =
              [=](const Tensors& in) {
                const bool is_empty = in[0].numel() == 0;
                return sum_to(in[0], in[0].numel() == 1 ? Dims::filled(to.rank(), 1)
                                     : is_empty         ? empty_to
                                                        : to);
              },
          .reference =
              [=](const Arrays& in) {
                Array y = folded(dims, KeepDim::kYes, 0, plus)(in);
                const bool is_empty = in[0].shape.product() == 0;
                y.shape = in[0].shape.product() == 1 ? Dims::filled(to.rank(), 1)
                          : is_empty                 ? empty_to
                                                     : to;
                return y;
              },
          .empty_shapes = Shapes{empty}};
}

}  // namespace

std::vector<OpCase> reduction_cases() {
  return {
      sum_case("last", {3, 4, 5}, {2}),
      sum_case("first", {3, 4, 5}, {0}),
      sum_case("middle", {3, 4, 5}, {1}),
      sum_case("outer_two", {3, 4, 5}, {0, 1}),
      sum_case("first_and_last", {3, 4, 5}, {0, 2}),
      sum_case("all", {3, 4, 5}, {0, 1, 2}),
      sum_case("keep", {3, 4, 5}, {0, 2}, KeepDim::kYes),
      sum_case("no_dims", {3, 4}, {}),
      large(sum_case("large_rows", {5, 30011}, {1})),
      large(sum_case("large_columns", {30011, 5}, {0})),
      large(sum_case("large_columns_wide", {300, 1100}, {0})),
      large(sum_case("large_all", {7, 50021}, {0, 1})),
      {.name = "sum",
       .inputs = {real({3, 5})},
       .op = [](const Tensors& in) { return sum(in[0]); },
       .reference = folded({0, 1}, KeepDim::kNo, 0, plus)},
      {.name = "mean",
       .inputs = {real({3, 5})},
       .op = [](const Tensors& in) { return mean(in[0]); },
       .reference = folded({0, 1}, KeepDim::kNo, 0, plus, true)},
      mean_case("last", 2, KeepDim::kNo, {{0, 5, 4}}),
      mean_case("first_keep", 0, KeepDim::kYes, {{3, 0, 4}}),
      {.name = "mean_two",
       .inputs = {real({3, 5, 4})},
       .op =
           [](const Tensors& in) {
             return mean(in[0], {0, -1});
           },
       .reference = folded({0, 2}, KeepDim::kNo, 0, plus, true),
       .empty_shapes = Shapes{{3, 0, 4}}},
      max_case("last", {3, 5}, 1, KeepDim::kNo, {{0, 5}}),
      max_case("first", {6, 5}, 0, KeepDim::kYes, {{6, 0}}),
      max_case("middle", {3, 6, 5}, 1, KeepDim::kNo, {{0, 6, 5}}),
      {.name = "max",
       .inputs = {real({3, 5})},
       .op = [](const Tensors& in) { return max(in[0]); },
       .reference = folded({0, 1}, KeepDim::kNo, -std::numeric_limits<double>::infinity(), larger),
       .empty_shapes = kNotApplicable},  // nothing is largest
      argmax_case("last", {4, 9}, 1, {{0, 9}}),
      argmax_case("last_long", {3, 77}, 1, {{0, 77}}),
      argmax_case("first", {9, 4}, 0, {{9, 0}}),
      argmax_case("middle", {3, 6, 5}, 1, {{3, 6, 0}}),
      sum_to_case("row", {3, 5}, {5}, {0}, {0, 5}, {5}),
      sum_to_case("column", {3, 5}, {3, 1}, {1}, {3, 0}, {3, 1}),
      sum_to_case("scalar", {3, 5}, {}, {0, 1}, {0, 5}, {}),
      sum_to_case("middle", {2, 4, 3, 5}, {4, 1, 5}, {0, 2}, {0, 4, 3, 5}, {4, 1, 5}),
  };
}

}  // namespace trireme::testing

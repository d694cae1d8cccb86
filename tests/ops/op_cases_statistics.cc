// Rows of products, variances and norms.

#include <cmath>

#include "core/ops/ops.h"
#include "tests/ops/array_index.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

using Line = std::vector<double>;
using OfLine = std::function<double(const Line&)>;

/// fn of each line of a tensor along `dim`.
Reference reduced(int dim, KeepDim keep, const OfLine& fn) {
  return [=](const Arrays& in) {
    const Array y = by_lines(in[0], dim, 1, [&](const Line& line) { return Line{fn(line)}; });
    return keep == KeepDim::kYes ? y : squeezed(y, dim);
  };
}

double product_of(const Line& line) {
  double y = 1;
  for (double v : line) y *= v;
  return y;
}

OfLine variance_of(double correction) {
  return [correction](const Line& line) {
    const double n = static_cast<double>(line.size());
    double mean = 0, sum = 0;
    for (double v : line) mean += v / n;
    for (double v : line) sum += (v - mean) * (v - mean);
    return sum / std::max(n - correction, 0.0);
  };
}

OfLine norm_of(double p) {
  return [p](const Line& line) {
    double sum = 0, largest = 0, smallest = INFINITY;
    for (double v : line) {
      const double size = std::abs(v);
      sum += p == 0 ? (v != 0 ? 1 : 0) : std::pow(size, p);
      largest = std::max(largest, size);
      smallest = std::min(smallest, size);
    }
    if (std::isinf(p)) return p > 0 ? largest : smallest;
    return p == 0 ? sum : std::pow(sum, 1 / p);
  };
}

OpCase norm_case(const std::string& name, double p, double low = -2) {
  OpCase row{.name = "norm_" + name,
             .inputs = {real({3, 7}, low, 2)},
             .op = [p](const Tensors& in) { return norm(in[0], p, {1}); },
             .reference = reduced(1, KeepDim::kNo, norm_of(p)),
             .tolerance = 1e-5};
  row.differentiable = p != 0;  // a count
  return row;
}

}  // namespace

std::vector<OpCase> statistics_cases() {
  const auto whole = [](const OfLine& fn) {
    return [fn](const Arrays& in) { return Array{{}, {fn(in[0].values)}}; };
  };
  return {
      {.name = "prod_rows",
       .inputs = {real({3, 7})},
       .op = [](const Tensors& in) { return prod(in[0], 1); },
       .reference = reduced(1, KeepDim::kNo, product_of),
       .tolerance = 1e-5,
       .dtypes = kAllDtypes},
      {.name = "prod_columns_kept",
       .inputs = {real({4, 3})},
       .op = [](const Tensors& in) { return prod(in[0], 0, KeepDim::kYes); },
       .reference = reduced(0, KeepDim::kYes, product_of),
       .tolerance = 1e-5,
       .dtypes = kAllDtypes},
      {.name = "prod_of_all",
       .inputs = {real({2, 3}, 0.5, 2)},
       .op = [](const Tensors& in) { return prod(in[0]); },
       .reference = whole(product_of),
       .tolerance = 1e-5},
      {.name = "masked_fill_then_prod",  // factors of 0
       .inputs = {real({4, 5}), booleans({4, 5})},
       .op = [](const Tensors& in) { return prod(masked_fill(in[0], in[1], 0), 0); },
       .reference =
           [](const Arrays& in) {
             Array x = in[0];
             for (int64_t i = 0; i < x.shape.product(); ++i) x[i] *= 1 - in[1][i];
             return reduced(0, KeepDim::kNo, product_of)({x});
           },
       .tolerance = 1e-5},
      {.name = "var_rows",
       .inputs = {real({3, 6})},
       .op = [](const Tensors& in) { return var(in[0], 1); },
       .reference = reduced(1, KeepDim::kNo, variance_of(1)),
       .tolerance = 1e-5},
      {.name = "var_of_all",
       .inputs = {real({3, 4})},
       .op = [](const Tensors& in) { return var(in[0]); },
       .reference = whole(variance_of(1)),
       .tolerance = 1e-5},
      {.name = "var_biased_kept",
       .inputs = {real({5, 3})},
       .op =
           [](const Tensors& in) {
             return var(in[0], {0}, {0, KeepDim::kYes});
           },
       .reference = reduced(0, KeepDim::kYes, variance_of(0)),
       .tolerance = 1e-5,
       .empty_shapes = {{{5, 0}}}},
      {.name = "std_rows",
       .inputs = {real({3, 6})},
       .op = [](const Tensors& in) { return std(in[0], 1); },
       .reference =
           reduced(1, KeepDim::kNo, [](const Line& x) { return std::sqrt(variance_of(1)(x)); }),
       .tolerance = 1e-5},
      {.name = "std_of_all",
       .inputs = {real({3, 4})},
       .op = [](const Tensors& in) { return std(in[0]); },
       .reference = whole([](const Line& x) { return std::sqrt(variance_of(1)(x)); }),
       .tolerance = 1e-5},
      norm_case("of_sizes", 1),
      norm_case("euclidean", 2),
      norm_case("cubic", 3),
      norm_case("of_roots", 0.5, 0.3),
      {norm_case("infinite", INFINITY)},
      {norm_case("of_the_smallest", -INFINITY)},
      norm_case("count", 0),
      {.name = "norm_of_all",
       .inputs = {real({3, 4})},
       .op = [](const Tensors& in) { return norm(in[0]); },
       .reference = whole(norm_of(2)),
       .tolerance = 1e-5},
      {.name = "norm_of_matrices_kept",
       .inputs = {real({3, 2, 4})},
       .op =
           [](const Tensors& in) {
             return norm(in[0], INFINITY, {0, 2}, KeepDim::kYes);
           },
       .reference =
           [](const Arrays& in) {
             const Shape& s = in[0].shape;
             Array y = Array::zeros({1, s[1], 1});
             each_index(s, [&](const Index& i, int64_t from) {
               y[i[1]] = std::max(y[i[1]], std::abs(in[0][from]));
             });
             return y;
           },
       .empty_shapes = {{{2, 0, 3}}}},
  };
}

}  // namespace trireme::testing

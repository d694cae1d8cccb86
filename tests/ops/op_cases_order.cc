// Rows of sorting and of what depends on the order of elements along a line.

#include <algorithm>
#include <numeric>

#include "core/ops/ops.h"
#include "tests/ops/array_index.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

using Line = std::vector<double>;

/// Places of the first k elements of a line.
std::vector<size_t> order_of(const Line& line, size_t k, Order order) {
  std::vector<size_t> places(line.size());
  std::iota(places.begin(), places.end(), size_t{0});
  std::stable_sort(places.begin(), places.end(), [&](size_t a, size_t b) {
    return order == Order::kAscending ? line[a] < line[b] : line[a] > line[b];
  });
  places.resize(k);
  return places;
}

/// `k` = -1: all.
Reference ordered(int dim, int64_t k, Order order, bool wants_places) {
  return [=](const Arrays& in) {
    const int64_t count = k < 0 ? in[0].shape[dim] : k;
    return by_lines(in[0], dim, count, [&](const Line& line) {
      Line result;
      for (size_t place : order_of(line, static_cast<size_t>(count), order)) {
        result.push_back(wants_places ? static_cast<double>(place) : line[place]);
      }
      return result;
    });
  };
}

OpCase sort_case(const std::string& name, const Shape& shape, int dim, Order order) {
  return {.name = "sort_" + name,
          .inputs = {real(shape)},
          .op = [=](const Tensors& in) { return sort(in[0], dim, order).values; },
          .reference = ordered(dim, -1, order, false),
          .dtypes = kAllDtypes};
}

OpCase argsort_case(const std::string& name, const Shape& shape, int dim, Order order) {
  return {.name = "argsort_" + name,
          .inputs = {real(shape)},
          .op = [=](const Tensors& in) { return argsort(in[0], dim, order); },
          .reference = ordered(dim, -1, order, true),
          .dtypes = kAllDtypes,
          .result_dtype = DType::kI64,
          .differentiable = false};
}

OpCase topk_case(const std::string& name, const Shape& shape, int64_t k, int dim, Order order,
                 bool wants_places) {
  Shape one = Dims::filled(shape.rank(), 1);
  one[dim] = k;
  OpCase row{.name = "topk_" + name,
             .inputs = {real(shape)},
             .op =
                 [=](const Tensors& in) {
                   const Sorted found = topk(in[0], k, dim, order);
                   return wants_places ? found.indices : found.values;
                 },
             .reference = ordered(dim, k, order, wants_places),
             .dtypes = kAllDtypes,
             .differentiable = !wants_places,
             .empty_shapes = {{with_extent(shape, 1 - dim, 0)}},
             .one_shapes = {{one}}};
  if (wants_places) row.result_dtype = DType::kI64;
  return row;
}

Reference smallest(int dim, bool wants_place, bool keeps) {
  return [=](const Arrays& in) {
    const Array y = by_lines(in[0], dim, 1, [&](const Line& line) {
      const auto best = std::min_element(line.begin(), line.end());
      return Line{wants_place ? static_cast<double>(best - line.begin()) : *best};
    });
    return keeps ? y : squeezed(y, dim);
  };
}

OpCase cumsum_case(const std::string& name, const Shape& shape, int dim) {
  return {.name = "cumsum_" + name,
          .inputs = {real(shape)},
          .op = [=](const Tensors& in) { return cumsum(in[0], dim); },
          .reference =
              [=](const Arrays& in) {
                return by_lines(in[0], dim, in[0].shape[dim], [](Line line) {
                  std::partial_sum(line.begin(), line.end(), line.begin());
                  return line;
                });
              },
          .dtypes = kAllDtypes};
}

}  // namespace

std::vector<OpCase> order_cases() {
  return {
      sort_case("last", {3, 7}, 1, Order::kAscending),
      sort_case("first_descending", {6, 3}, 0, Order::kDescending),
      sort_case("middle", {2, 5, 3}, 1, Order::kAscending),
      argsort_case("last_descending", {4, 9}, 1, Order::kDescending),
      argsort_case("first", {9, 2}, 0, Order::kAscending),
      argsort_case("long", {2, 1100}, 1, Order::kAscending),
      topk_case("largest", {4, 6}, 3, 1, Order::kDescending, false),
      topk_case("smallest_of_columns", {5, 3}, 2, 0, Order::kAscending, false),
      topk_case("places", {3, 8}, 5, 1, Order::kDescending, true),
      {.name = "min_columns",
       .inputs = {real({4, 5})},
       .op = [](const Tensors& in) { return min(in[0], 0); },
       .reference = smallest(0, false, false),
       .dtypes = kAllDtypes,
       .empty_shapes = {{{4, 0}}}},
      {.name = "min_rows_kept",
       .inputs = {real({3, 70})},
       .op = [](const Tensors& in) { return min(in[0], -1, KeepDim::kYes); },
       .reference = smallest(1, false, true),
       .dtypes = kAllDtypes},
      {.name = "min_of_all",
       .inputs = {real({3, 4})},
       .op = [](const Tensors& in) { return min(in[0]); },
       .reference =
           [](const Arrays& in) {
             return Array{{}, {*std::min_element(in[0].values.begin(), in[0].values.end())}};
           },
       .dtypes = kAllDtypes,
       .empty_shapes = kNotApplicable},  // nothing is smallest
      {.name = "argmin_rows",
       .inputs = {real({3, 70})},
       .op = [](const Tensors& in) { return argmin(in[0], 1); },
       .reference = smallest(1, true, false),
       .dtypes = kAllDtypes,
       .result_dtype = DType::kI64,
       .differentiable = false},
      {.name = "argmin_columns",
       .inputs = {real({6, 4})},
       .op = [](const Tensors& in) { return argmin(in[0], 0); },
       .reference = smallest(0, true, false),
       .dtypes = kAllDtypes,
       .result_dtype = DType::kI64,
       .differentiable = false,
       .empty_shapes = {{{4, 0}}}},
      cumsum_case("rows", {3, 6}, 1),
      cumsum_case("columns", {4, 3}, 0),
      cumsum_case("long", {2, 300}, 1),
  };
}

}  // namespace trireme::testing

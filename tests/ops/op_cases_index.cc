// Rows of the ops that are given the numbers of elements, or a mask of them.

#include "core/ops/ops.h"
#include "tests/ops/array_index.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

size_t at(int dim) { return static_cast<size_t>(dim); }

/// All extents 1, but `extent` in `dim`, so that every number is inside.
Shape only(const Shape& like, int dim, int64_t extent) {
  return with_extent(Dims::filled(like.rank(), 1), dim, extent);
}

OpCase index_select_case(const std::string& name, const Shape& shape, int dim, int64_t count,
                         DType ids) {
  return {.name = "index_select_" + name,
          .inputs = {real(shape), integers({count}, 0, shape[dim], ids)},
          .op = [dim](const Tensors& in) { return index_select(in[0], dim, in[1]); },
          .reference =
              [dim](const Arrays& in) {
                Array y = Array::zeros(with_extent(in[0].shape, dim, in[1].shape[0]));
                each_index(y.shape, [&](Index from, int64_t to) {
                  from[at(dim)] = static_cast<int64_t>(in[1][from[at(dim)]]);
                  y[to] = in[0][position_of(in[0].shape, from)];
                });
                return y;
              },
          .dtypes = kAllDtypes,
          .empty_shapes = {{shape, {0}}},
          .one_shapes = {{only(shape, dim, shape[dim]), {1}}}};
}

OpCase gather_case(const std::string& name, const Shape& shape, const Shape& index, int dim,
                   DType ids = DType::kI64) {
  return {.name = "gather_" + name,
          .inputs = {real(shape), integers(index, 0, shape[dim], ids)},
          .op = [dim](const Tensors& in) { return gather(in[0], dim, in[1]); },
          .reference =
              [dim](const Arrays& in) {
                Array y = Array::zeros(in[1].shape);
                each_index(y.shape, [&](Index from, int64_t to) {
                  from[at(dim)] = static_cast<int64_t>(in[1][to]);
                  y[to] = in[0][position_of(in[0].shape, from)];
                });
                return y;
              },
          .dtypes = kAllDtypes,
          .empty_shapes = {{shape, with_extent(index, 0, 0)}},
          .one_shapes = {{only(shape, dim, shape[dim]), only(index, dim, 1)}}};
}

/// In 16 bits what is added is rounded by itself, and the result again.
OpCase scatter_add_case(const std::string& name, const Shape& shape, const Shape& index,
                        const Shape& src, int dim, DType ids = DType::kI64) {
  return {.name = "scatter_add_" + name,
          .inputs = {real(shape), integers(index, 0, shape[dim], ids), real(src)},
          .op = [dim](const Tensors& in) { return scatter_add(in[0], dim, in[1], in[2]); },
          .reference =
              [dim](const Arrays& in) {
                Array y = in[0];
                each_index(in[1].shape, [&](Index to, int64_t i) {
                  const double added = in[2][position_of(in[2].shape, to)];
                  to[at(dim)] = static_cast<int64_t>(in[1][i]);
                  y[position_of(y.shape, to)] += added;
                });
                return y;
              },
          .dtypes = {DType::kF64, DType::kF32, DType::kI64, DType::kI32},
          .roundings = 10,
          .empty_shapes = {{shape, with_extent(index, 0, 0), with_extent(src, 0, 0)}},
          .one_shapes = {{only(shape, dim, shape[dim]), only(index, dim, 1), only(src, dim, 1)}}};
}

OpCase triangle_case(const std::string& name, bool is_lower, int64_t diagonal) {
  return {.name = name,
          .inputs = {real({2, 4, 5})},
          .op =
              [=](const Tensors& in) {
                return is_lower ? tril(in[0], diagonal) : triu(in[0], diagonal);
              },
          .reference =
              [=](const Arrays& in) {
                Array y = in[0];
                each_index(y.shape, [&](const Index& i, int64_t to) {
                  const int64_t above = i[2] - i[1] - diagonal;
                  if (is_lower ? above > 0 : above < 0) y[to] = 0;
                });
                return y;
              },
          .dtypes = kAllDtypes};
}

}  // namespace

std::vector<OpCase> index_cases() {
  return {
      index_select_case("rows", {5, 3}, 0, 7, DType::kI64),
      index_select_case("middle_i32", {2, 4, 3}, 1, 6, DType::kI32),
      index_select_case("list", {6}, 0, 4, DType::kI64),
      gather_case("last", {3, 5}, {3, 4}, 1),
      gather_case("first_i32", {4, 3}, {6, 3}, 0, DType::kI32),
      gather_case("part_of_x", {3, 4, 5}, {2, 6, 3}, 1),
      gather_case("list", {5}, {8}, 0),
      scatter_add_case("last", {3, 5}, {3, 8}, {3, 8}, 1),
      scatter_add_case("first_i32", {4, 3}, {6, 3}, {6, 3}, 0, DType::kI32),
      scatter_add_case("parts", {3, 4, 5}, {2, 6, 3}, {3, 7, 4}, 1),
      // One element of the result is given many.
      scatter_add_case("many", {2}, {100}, {100}, 0),
      triangle_case("tril", true, 0),
      triangle_case("tril_above", true, 1),
      triangle_case("triu", false, 0),
      triangle_case("triu_below", false, -2),
      {.name = "masked_fill",
       .inputs = {real({3, 4}), booleans({4})},
       .op = [](const Tensors& in) { return masked_fill(in[0], in[1], 1); },
       .reference = elementwise([](double x, double mask) { return mask != 0 ? 1 : x; }),
       .dtypes = kAllDtypes,
       .empty_shapes = {{{0, 4}, {4}}}},
      {.name = "masked_fill_infinity",
       .inputs = {real({5}), booleans({5})},
       .op = [](const Tensors& in) { return masked_fill(in[0], in[1], -INFINITY); },
       .reference = elementwise([](double x, double mask) { return mask != 0 ? -INFINITY : x; }),
       .differentiable = false},  // differences of infinities are no numbers
      {.name = "one_hot",
       .inputs = {integers({2, 3}, 0, 4)},
       .op = [](const Tensors& in) { return one_hot(in[0], 4); },
       .reference =
           [](const Arrays& in) {
             Shape shape = in[0].shape;
             shape.push_back(4);
             Array y = Array::zeros(shape);
             for (int64_t i = 0; i < in[0].shape.product(); ++i) {
               y[i * 4 + static_cast<int64_t>(in[0][i])] = 1;
             }
             return y;
           },
       .dtypes = {DType::kF32},  // there is no operand under test
       .roundings = 0,
       .result_dtype = DType::kI64,
       .differentiable = false},
  };
}

}  // namespace trireme::testing

// Rows of cutting, joining and padding. References move elements by index.

#include "core/ops/ops.h"
#include "tests/ops/array_index.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

/// y of `shape`, whose element at an index is x's at source(index).
template <typename Source>
Array moved(const Array& x, const Shape& shape, const Source& source) {
  Array y = Array::zeros(shape);
  each_index(shape, [&](const Index& index, int64_t to) {
    y[to] = x[position_of(x.shape, source(index))];
  });
  return y;
}

OpCase pad_case(const std::string& name, const Shape& shape, const std::vector<int64_t>& padding) {
  return {.name = "pad_" + name,
          .inputs = {real(shape)},
          .op = [padding](const Tensors& in) { return pad(in[0], padding, 1); },
          .reference =
              [padding](const Arrays& in) {
                const Shape& from = in[0].shape;
                Shape to = from;
                std::vector<int64_t> before(static_cast<size_t>(to.rank()), 0);
                for (size_t i = 0; i < padding.size() / 2; ++i) {
                  const int d = to.rank() - 1 - static_cast<int>(i);
                  before[static_cast<size_t>(d)] = padding[2 * i];
                  to[d] += padding[2 * i] + padding[2 * i + 1];
                }
                Array y = Array::zeros(to);
                each_index(to, [&](Index index, int64_t at) {
                  bool is_inside = true;
                  for (size_t d = 0; d < index.size(); ++d) {
                    index[d] -= before[d];
                    is_inside = is_inside && index[d] >= 0 && index[d] < from[static_cast<int>(d)];
                  }
                  y[at] = is_inside ? in[0][position_of(from, index)] : 1;
                });
                return y;
              },
          .dtypes = kAllDtypes};
}

OpCase repeat_case(const std::string& name, const Shape& shape, const Shape& repeats) {
  return {.name = "repeat_" + name,
          .inputs = {real(shape)},
          .op = [repeats](const Tensors& in) { return repeat(in[0], repeats); },
          .reference =
              [repeats](const Arrays& in) {
                Shape from = in[0].shape, to = repeats;
                while (from.rank() < to.rank()) from.insert(0, 1);
                for (int d = 0; d < to.rank(); ++d) to[d] *= from[d];
                return moved(Array{from, in[0].values}, to, [&](Index i) {
                  for (size_t d = 0; d < i.size(); ++d) i[d] %= from[static_cast<int>(d)];
                  return i;
                });
              },
          .dtypes = kAllDtypes};
}

/// Columns [begin, end) of a matrix.
Reference columns(int64_t begin, int64_t end) {
  return [=](const Arrays& in) {
    return moved(in[0], {in[0].shape[0], end - begin}, [&](const Index& i) {
      return Index{i[0], i[1] + begin};
    });
  };
}

}  // namespace

std::vector<OpCase> shaping_cases() {
  return {
      {.name = "flip",
       .inputs = {real({3, 4, 5})},
       .op =
           [](const Tensors& in) {
             return flip(in[0], {0, -1});
           },
       .reference =
           [](const Arrays& in) {
             const Shape& s = in[0].shape;
             return moved(in[0], s, [&](const Index& i) {
               return Index{s[0] - 1 - i[0], i[1], s[2] - 1 - i[2]};
             });
           },
       .dtypes = kAllDtypes},
      {.name = "flip_list",
       .inputs = {real({7})},
       .op = [](const Tensors& in) { return flip(in[0], {0}); },
       .reference =
           [](const Arrays& in) {
             return moved(in[0], in[0].shape,
                          [&](const Index& i) { return Index{in[0].shape[0] - 1 - i[0]}; });
           },
       .dtypes = kAllDtypes},
      pad_case("last", {2, 3}, {1, 2}),
      pad_case("both", {2, 3}, {0, 1, 2, 1}),
      {pad_case("and_cut", {2, 3, 4}, {-1, 2, 1, 0})},
      repeat_case("rows", {2, 3}, {2, 1}),
      repeat_case("more_dimensions", {2, 3}, {2, 3, 2}),
      repeat_case("once", {2, 3}, {1, 1}),
      {.name = "stack",
       .inputs = {real({2, 3}), real({2, 3}), real({2, 3})},
       .op = [](const Tensors& in) { return stack(in, 1); },
       .reference =
           [](const Arrays& in) {
             const Shape& s = in[0].shape;
             Array y = Array::zeros({s[0], 3, s[1]});
             each_index(y.shape, [&](const Index& i, int64_t to) {
               y[to] = in[static_cast<size_t>(i[1])][i[0] * s[1] + i[2]];
             });
             return y;
           },
       .dtypes = kAllDtypes},
      {.name = "split_in_twos",
       .inputs = {real({3, 5})},
       .op = [](const Tensors& in) { return split(in[0], 2, 1)[2]; },
       .reference = columns(4, 5),
       .dtypes = kAllDtypes,
       .one_shapes = kNotApplicable},  // there are no five columns
      {.name = "split_by_sizes",
       .inputs = {real({3, 6})},
       .op =
           [](const Tensors& in) {
             return split(in[0], std::array<int64_t, 3>{1, 3, 2}, 1)[1];
           },
       .reference = columns(1, 4),
       .dtypes = kAllDtypes,
       .one_shapes = kNotApplicable},
      {.name = "chunk",
       .inputs = {real({2, 7})},
       .op = [](const Tensors& in) { return chunk(in[0], 3, -1)[1]; },
       .reference = columns(3, 6),
       .dtypes = kAllDtypes,
       .one_shapes = kNotApplicable},
  };
}

}  // namespace trireme::testing

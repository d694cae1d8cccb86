// Rows of views and of concat. References move elements by index.

#include "core/ops/ops.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

const std::vector<DType> kAll = {DType::kF64, DType::kF32, DType::kI64,
                                 DType::kI32, DType::kU8,  DType::kBool};

/// y of `shape`, whose element at `index` is x's element at source(index).
Array gathered(const Array& x, const Shape& shape,
               const std::function<std::vector<int64_t>(const std::vector<int64_t>&)>& source) {
  Array y = Array::zeros(shape);
  const Strides strides = contiguous_strides(x.shape);
  for (int64_t i = 0; i < shape.product(); ++i) {
    std::vector<int64_t> index(static_cast<size_t>(shape.rank()));
    int64_t rest = i;
    for (int d = shape.rank() - 1; d >= 0; --d) {
      index[static_cast<size_t>(d)] = rest % shape[d];
      rest /= shape[d];
    }
    int64_t at = 0, d = 0;
    for (int64_t s : source(index)) at += s * strides[static_cast<int>(d++)];
    y[i] = x[at];
  }
  return y;
}

using Index = std::vector<int64_t>;

Array joined(const Arrays& in) {
  // Along dimension 1 of matrices.
  Shape shape = in[0].shape;
  shape[1] = 0;
  for (const Array& part : in) shape[1] += part.shape[1];
  Array y{shape, {}};
  for (int64_t r = 0; r < shape[0]; ++r) {
    for (const Array& part : in) {
      const auto row = part.values.begin() + r * part.shape[1];
      y.values.insert(y.values.end(), row, row + part.shape[1]);
    }
  }
  return y;
}

}  // namespace

std::vector<OpCase> view_cases() {
  return {
      {.name = "reshape",
       .inputs = {real({4, 6})},
       .op =
           [](const Tensors& in) {
             return reshape(in[0], {in[0].size(0), 1, -1});
           },
       .reference =
           [](const Arrays& in) {
             return Array{{in[0].shape[0], 1, in[0].shape[1]}, in[0].values};
           },
       .dtypes = kAll,
       .empty_shapes = Shapes{{4, 0}}},
      {.name = "reshape_mixing",  // a transposed operand has to be copied
       .inputs = {real({4, 6})},
       .op = [](const Tensors& in) { return reshape(in[0], {-1}); },
       .reference =
           [](const Arrays& in) {
             return Array{{in[0].shape.product()}, in[0].values};
           },
       .dtypes = kAll},
      {.name = "transpose",
       .inputs = {real({3, 4, 5})},
       .op = [](const Tensors& in) { return transpose(in[0], 0, -1); },
       .reference =
           [](const Arrays& in) {
             const Shape& s = in[0].shape;
             return gathered(in[0], {s[2], s[1], s[0]}, [](const Index& i) {
               return Index{i[2], i[1], i[0]};
             });
           },
       .dtypes = kAll},
      {.name = "permute",
       .inputs = {real({3, 4, 5})},
       .op =
           [](const Tensors& in) {
             return permute(in[0], std::array{2, 0, -2});
           },
       .reference =
           [](const Arrays& in) {
             const Shape& s = in[0].shape;
             return gathered(in[0], {s[2], s[0], s[1]}, [](const Index& i) {
               return Index{i[1], i[2], i[0]};
             });
           },
       .dtypes = kAll},
      {.name = "slice_first",
       .inputs = {real({6, 4})},
       .op = [](const Tensors& in) { return slice(in[0], 0, 1, 4); },
       .reference =
           [](const Arrays& in) {
             return gathered(in[0], {3, in[0].shape[1]}, [](const Index& i) {
               return Index{i[0] + 1, i[1]};
             });
           },
       .dtypes = kAll,
       .empty_shapes = Shapes{{6, 0}},
       .one_shapes = kNotApplicable},  // the range needs four rows
      {.name = "slice_last",
       .inputs = {real({3, 6})},
       .op = [](const Tensors& in) { return slice(in[0], -1, 2, in[0].size(-1)); },
       .reference =
           [](const Arrays& in) {
             return gathered(in[0], {in[0].shape[0], in[0].shape[1] - 2}, [](const Index& i) {
               return Index{i[0], i[1] + 2};
             });
           },
       .dtypes = kAll,
       .one_shapes = kNotApplicable},  // begins at column 2
      {.name = "expand",
       .inputs = {real({3, 1})},
       .op =
           [](const Tensors& in) {
             return expand(in[0], {2, in[0].size(0), 4});
           },
       .reference =
           [](const Arrays& in) {
             return gathered(in[0], {2, in[0].shape[0], 4}, [](const Index& i) {
               return Index{i[1], 0};
             });
           },
       .dtypes = kAll},
      {.name = "squeeze",
       .inputs = {real({3, 1, 4})},
       .op = [](const Tensors& in) { return squeeze(in[0], 1); },
       .reference =
           [](const Arrays& in) {
             return Array{{in[0].shape[0], in[0].shape[2]}, in[0].values};
           },
       .dtypes = kAll},
      {.name = "unsqueeze",
       .inputs = {real({3, 4})},
       .op = [](const Tensors& in) { return unsqueeze(in[0], -1); },
       .reference =
           [](const Arrays& in) {
             return Array{{in[0].shape[0], in[0].shape[1], 1}, in[0].values};
           },
       .dtypes = kAll},
      {.name = "concat",
       .inputs = {real({3, 2}), real({3, 4}), real({3, 1})},
       .op = [](const Tensors& in) { return concat(in, -1); },
       .reference = joined,
       .dtypes = kAll,
       .empty_shapes = Shapes{{3, 0}, {3, 4}, {3, 0}}},
      {.name = "concat_with_itself",
       .inputs = {real({3, 2})},
       .op =
           [](const Tensors& in) {
             return concat({in[0], in[0]}, 1);
           },
       .reference =
           [](const Arrays& in) {
             return joined({in[0], in[0]});
           }},
  };
}

}  // namespace trireme::testing

// References that move elements: walking an Array by index.

#pragma once

#include <vector>

#include "tests/ops/op_harness.h"

namespace trireme::testing {

using Index = std::vector<int64_t>;

/// Calls fn(index, position) for every element of `shape`, in row-major order.
template <typename Fn>
void each_index(const Shape& shape, const Fn& fn) {
  for (int64_t at = 0; at < shape.product(); ++at) {
    Index index(static_cast<size_t>(shape.rank()));
    int64_t rest = at;
    for (int d = shape.rank() - 1; d >= 0; --d) {
      index[static_cast<size_t>(d)] = rest % shape[d];
      rest /= shape[d];
    }
    fn(index, at);
  }
}

/// Row-major position of an index.
inline int64_t position_of(const Shape& shape, const Index& index) {
  int64_t at = 0;
  for (int d = 0; d < shape.rank(); ++d) at = at * shape[d] + index[static_cast<size_t>(d)];
  return at;
}

/// A shape with another extent in one dimension.
inline Shape with_extent(Shape shape, int dim, int64_t extent) {
  shape[dim] = extent;
  return shape;
}

/// y of `shape` reduced from the lines of x along `dim`, which y keeps with an extent of 1:
/// fn(line) gives the elements of y's line, as many as `shape` says.
template <typename Fn>
Array by_lines(const Array& x, int dim, int64_t extent, const Fn& fn) {
  Array y = Array::zeros(with_extent(x.shape, dim, extent));
  each_index(with_extent(x.shape, dim, 1), [&](Index index, int64_t) {
    std::vector<double> line;
    for (int64_t i = 0; i < x.shape[dim]; ++i) {
      index[static_cast<size_t>(dim)] = i;
      line.push_back(x[position_of(x.shape, index)]);
    }
    const std::vector<double> result = fn(line);
    for (int64_t i = 0; i < extent; ++i) {
      index[static_cast<size_t>(dim)] = i;
      y[position_of(y.shape, index)] = result[static_cast<size_t>(i)];
    }
  });
  return y;
}

/// y without a dimension of extent 1.
inline Array squeezed(Array y, int dim) {
  y.shape.erase(dim);
  return y;
}

inline const std::vector<DType> kAllDtypes = {DType::kF64, DType::kF32, DType::kI64,
                                              DType::kI32, DType::kU8,  DType::kBool};

}  // namespace trireme::testing

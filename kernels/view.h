// What kernels are given: a pointer and extents, trivially copyable, owning nothing. A view of T
// converts to one of const T.

#pragma once

#include <cstdint>
#include <type_traits>

#include "core/base/shape.h"

namespace trireme {

/// Any strided tensor. Strides are in elements; 0 repeats an element (broadcast).
template <typename T>
struct StridedView {
  T* data;
  Shape shape;
  Strides strides;

  int64_t count() const { return shape.product(); }
  template <typename C>
  requires std::is_same_v<C, const T>
  operator StridedView<C>() const { return {data, shape, strides}; }
};

/// [rows, cols]; a row is contiguous, rows lie `row_stride` elements apart.
template <typename T>
struct MatrixView {
  T* data;
  int64_t rows;
  int64_t cols;
  int64_t row_stride;

  T* row(int64_t r) const { return data + r * row_stride; }
  template <typename C>
  requires std::is_same_v<C, const T>
  operator MatrixView<C>() const { return {data, rows, cols, row_stride}; }
};

}  // namespace trireme

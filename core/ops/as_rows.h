// Tensors as the views that kernels take. Nothing here allocates but `dense`, where it must copy.

#pragma once

#include <type_traits>
#include <utility>

#include "core/tensor/copy.h"
#include "core/tensor/tensor.h"
#include "kernels/view.h"

namespace trireme {

/// x itself if it is contiguous, else a contiguous copy without history.
inline Tensor dense(const Tensor& x) { return x.is_contiguous() ? x : to_contiguous(x); }

template <typename T>
StridedView<T> as_view(const Tensor& x) {
  return {x.data<std::remove_const_t<T>>(), x.shape(), x.strides()};
}

/// x as [product of the other dimensions, last dimension]. Requires rank >= 1 and a contiguous x.
template <typename T>
MatrixView<T> as_rows(const Tensor& x) {
  const int64_t cols = x.shape().back();
  int64_t rows = 1;
  for (int d = 0; d + 1 < x.rank(); ++d) rows *= x.shape()[d];
  return {x.data<std::remove_const_t<T>>(), rows, cols, cols};
}

/// The same for kernels of strided matrices; a matrix may have any strides.
template <typename T>
StridedView<T> as_matrix(const Tensor& x) {
  if (x.rank() == 2) return as_view<T>(x);
  const MatrixView<T> m = as_rows<T>(x);
  return {m.data, {m.rows, m.cols}, {m.row_stride, 1}};
}

/// The last two dimensions exchanged.
template <typename T>
StridedView<T> transposed(StridedView<T> x) {
  const int last = x.shape.rank() - 1;
  std::swap(x.shape[last - 1], x.shape[last]);
  std::swap(x.strides[last - 1], x.strides[last]);
  return x;
}

}  // namespace trireme

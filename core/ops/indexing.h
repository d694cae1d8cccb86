// Elements by their number, and by their order. Part of core/ops/ops.h.
//
// Numbers are i64 or i32 tensors on the device of the operand. One outside of its range is an error
// that names the op, the number and its position; on CUDA nobody waits for it: the next
// synchronize() throws it, and nothing outside of the operand is touched. Gradients are
// deterministic on every device.

#pragma once

#include <cstdint>

#include "core/tensor/tensor.h"
#include "kernels/sort_key.h"

namespace trireme {

/// The entries of x along `dim` that index [count] names, in its order: x's shape with `count` in
/// the place of that extent.
Tensor index_select(const Tensor& x, int dim, const Tensor& index);
/// y[i] = x[i with index[i] in the place of i[dim]], of index's shape. index has x's rank, and in
/// the other dimensions no larger extents than x.
Tensor gather(const Tensor& x, int dim, const Tensor& index);
/// x, with src[i] added at [i with index[i] in the place of i[dim]] for every i of index's shape.
/// index has the rank of x and src, no larger extents than src, and but in `dim` than x. What
/// one element is given is added up first: 16-bit elements are rounded then, and at the end.
/// Floating dtypes, i64 and i32.
Tensor scatter_add(const Tensor& x, int dim, const Tensor& index, const Tensor& src);
/// mask ? value : x. mask is bool and broadcasts with x.
Tensor masked_fill(const Tensor& x, const Tensor& mask, double value);
/// ids [..] -> i64 [.., classes], 1 at each id and 0 elsewhere. classes = -1: the largest id + 1,
/// for which the host waits.
Tensor one_hot(const Tensor& ids, int64_t classes = -1);

/// Elements along a dimension in order, and the places they had there (i64, without gradient).
struct Sorted {
  Tensor values, indices;
};
/// Equal elements keep the order they stand in. A NaN counts as larger than any number.
Sorted sort(const Tensor& x, int dim = -1, Order order = Order::kAscending);
/// sort(..).indices
Tensor argsort(const Tensor& x, int dim = -1, Order order = Order::kAscending);
/// The first k of sort(x, dim, order): the largest, or with kAscending the smallest, in order.
Sorted topk(const Tensor& x, int64_t k, int dim = -1, Order order = Order::kDescending);

}  // namespace trireme

// The largest element, its place, and the gradient that goes there.

#include "core/autograd/attach.h"
#include "core/ops/map.h"
#include "core/ops/ops.h"
#include "core/tensor/copy.h"
#include "core/tensor/view.h"
#include "kernels/reduce.h"

namespace trireme {
namespace {

// x seen as [outer, n, inner] with the dimension in question in the middle.
struct Extents {
  int64_t outer = 1, n = 1, inner = 1;
  Extents(const Shape& shape, int dim) {
    for (int d = 0; d < shape.rank(); ++d) (d < dim ? outer : d == dim ? n : inner) *= shape[d];
  }
};

void check_not_empty(const char* op, const Tensor& x, int dim) {
  require(x.shape()[dim] > 0, op, "dimension ", dim, " of ", x.shape(),
          " is empty: nothing is largest");
}

/// dy, each element at its place along `dim` of `shape`, and zeros.
Tensor scattered(const Tensor& dy, const Tensor& where, const Shape& shape, int dim) {
  const Extents e(shape, dim);
  const Tensor from = to_contiguous(dy);
  Tensor dx = empty(shape, {dy.dtype(), dy.device()});
  on_device(dy.device(), [&](auto device) {
    dispatch_floating("max", dy.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      kernels::scatter_along(device, from.data<T>(), where.data<int64_t>(), e.outer, e.n, e.inner,
                             dx.data<T>());
    });
  });
  return dx;
}

Tensor max_of(const Tensor& x, int dim, KeepDim keep) {
  check_not_empty("max", x, dim);
  const Tensor dense = to_contiguous(x);
  const Extents e(x.shape(), dim);
  Shape shape = x.shape();
  shape[dim] = 1;
  if (keep == KeepDim::kNo) shape.erase(dim);
  Tensor y = empty(shape, {x.dtype(), x.device()});
  const Tensor where = empty(shape, {DType::kI64, x.device()});
  on_device(x.device(), [&](auto device) {
    dispatch_dtype(x.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      kernels::max_along(device, dense.data<T>(), e.outer, e.n, e.inner, y.data<T>(),
                         where.data<int64_t>());
    });
  });
  return attach(differentiable("max"), y,
                wrt(x, [where = save(where), shape = x.shape(), dim](const Tensor& dy) {
                  if (!is_recording()) return scattered(dy, where(), shape, dim);
                  const Tensor each = ones(dy.shape(), {dy.dtype(), dy.device()});
                  Shape kept = shape;
                  kept[dim] = 1;
                  return mul(reshape(dy, kept), scattered(each, where(), shape, dim));
                }));
}

}  // namespace

Tensor max(const Tensor& x) {
  detail::check_operand("max", x);
  return max_of(reshape(x, {-1}), 0, KeepDim::kNo);
}

Tensor max(const Tensor& x, int dim, KeepDim keep) {
  detail::check_operand("max", x);
  return max_of(x, normalize_dim("max", dim, x.rank()), keep);
}

Tensor argmax(const Tensor& x, int dim) {
  detail::check_operand("argmax", x);
  dim = normalize_dim("argmax", dim, x.rank());
  check_not_empty("argmax", x, dim);
  const Tensor dense = to_contiguous(x);
  const Extents e(x.shape(), dim);
  Shape shape = x.shape();
  shape.erase(dim);
  const Tensor where = empty(shape, {DType::kI64, x.device()});
  on_device(x.device(), [&](auto device) {
    dispatch_dtype(x.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      kernels::max_along(device, dense.data<T>(), e.outer, e.n, e.inner, static_cast<T*>(nullptr),
                         where.data<int64_t>());
    });
  });
  return where;
}

}  // namespace trireme

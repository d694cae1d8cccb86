// Entries along a dimension by their number.

#include "core/autograd/attach.h"
#include "core/ops/as_rows.h"
#include "core/ops/check.h"
#include "core/ops/ids.h"
#include "core/ops/ops.h"
#include "core/tensor/raw_view.h"
#include "core/tensor/view.h"
#include "kernels/embedding.h"
#include "kernels/gather.h"

namespace trireme {
namespace {

/// Zeros of `shape`, with dy's entries along `dim` added where the ids say: what an embedding's
/// gradient is, with `dim` in front. Linear in dy, with index_select as its transpose.
Tensor entries_added(const Tensor& dy, int dim, const Tensor& ids, const Shape& shape) {
  const Tensor from = to_contiguous(views::transpose(dy, 0, dim));
  Shape front = shape;
  std::swap(front[0], front[dim]);
  const Tensor sums = empty(front, {dy.dtype(), dy.device()});
  Shape rest = front;
  rest.erase(0);
  const int64_t cols = rest.product();
  dispatch_floating("index_select", dy.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    with_ids("index_select", ids, [&](const auto* values) {
      on_device(dy.device(), [&](auto device) {
        kernels::embedding_backward(device,
                                    MatrixView<const T>{from.data<T>(), ids.numel(), cols, cols},
                                    values, MatrixView<T>{sums.data<T>(), front[0], cols, cols});
      });
    });
  });
  return attach(
      differentiable("index_select"), to_contiguous(views::transpose(sums, 0, dim)),
      wrt(dy, [dim, ids = save(ids)](const Tensor& d) { return index_select(d, dim, ids()); }));
}

}  // namespace

Tensor index_select(const Tensor& x, int dim, const Tensor& index) {
  detail::check_defined("index_select", {{"x", &x}, {"index", &index}});
  dim = normalize_dim("index_select", dim, x.rank());
  require(index.rank() == 1, "index_select", "index must be a list [count], got ", index.shape());
  const Tensor ids = dense(index);
  require_inside("index_select", "index", ids, x.shape()[dim]);
  Shape shape = x.shape();
  shape[dim] = index.numel();
  // One number for all elements of an entry.
  Strides strides = Dims::filled(x.rank(), 0);
  strides[dim] = 1;
  Tensor y = empty(shape, {x.dtype(), x.device()});
  with_ids("index_select", ids, [&](const auto* values) {
    using Id = std::remove_pointer_t<decltype(values)>;
    on_device(x.device(), [&](auto device) {
      kernels::gather(device, as_const_any_view(x), dim, StridedView<Id>{values, shape, strides},
                      y.raw_data());
    });
  });
  return attach(differentiable("index_select"), std::move(y),
                wrt(x, [dim, ids = save(ids), shape = x.shape()](const Tensor& dy) {
                  return entries_added(dy, dim, ids(), shape);
                }));
}

}  // namespace trireme

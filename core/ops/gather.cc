#include "kernels/gather.h"

#include "core/autograd/attach.h"
#include "core/ops/as_rows.h"
#include "core/ops/autocast.h"
#include "core/ops/check.h"
#include "core/ops/ids.h"
#include "core/ops/ops.h"
#include "core/tensor/raw_view.h"
#include "kernels/arithmetic_dtypes.h"

namespace trireme {
namespace {

/// That index names one element of x, and of a source if there is one, at each of its places.
void check_shapes(const char* op, const Tensor& x, int dim, const Tensor& index) {
  bool fits = index.rank() == x.rank();
  for (int d = 0; fits && d < x.rank(); ++d) {
    fits = d == dim || index.shape()[d] <= x.shape()[d];
  }
  require(fits, op, "index must have x's rank and, but in dimension ", dim,
          ", no larger extents, index is ", index.shape(), " but x is ", x.shape());
}

/// Zeros of `shape`, with src [ids.shape()] added where the ids say. Linear in src, with gather as
/// its transpose.
Tensor scattered(const Tensor& src, int dim, const Tensor& ids, const Shape& shape) {
  const Tensor from = dense(src);
  Tensor y = empty(shape, {src.dtype(), src.device()});
  dispatch_arithmetic("scatter_add", src.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    with_ids("scatter_add", ids, [&](const auto* values) {
      on_device(src.device(), [&](auto device) {
        kernels::scatter_sum(device, as_view<const T>(from), dim, values, as_view<T>(y));
      });
    });
  });
  return attach(
      differentiable("scatter_add"), std::move(y),
      wrt(src, [dim, ids = save(ids)](const Tensor& dy) { return gather(dy, dim, ids()); }));
}

}  // namespace

Tensor gather(const Tensor& x, int dim, const Tensor& index) {
  detail::check_defined("gather", {{"x", &x}, {"index", &index}});
  dim = normalize_dim("gather", dim, x.rank());
  check_shapes("gather", x, dim, index);
  const Tensor ids = dense(index);
  require_inside("gather", "index", ids, x.shape()[dim]);
  Tensor y = empty(index.shape(), {x.dtype(), x.device()});
  with_ids("gather", ids, [&](const auto* values) {
    using Id = std::remove_pointer_t<decltype(values)>;
    on_device(x.device(), [&](auto device) {
      kernels::gather(device, as_const_any_view(x), dim,
                      StridedView<Id>{values, ids.shape(), ids.strides()}, y.raw_data());
    });
  });
  return attach(differentiable("gather"), std::move(y),
                wrt(x, [dim, ids = save(ids), shape = x.shape()](const Tensor& dy) {
                  return scattered(dy, dim, ids(), shape);
                }));
}

Tensor scatter_add(const Tensor& x, int dim, const Tensor& index, const Tensor& src) {
  if (const auto in = detail::autocast<"scatter_add">(x, src)) {
    return scatter_add(in[0], dim, index, in[1]);
  }
  detail::check_defined("scatter_add", {{"x", &x}, {"index", &index}, {"src", &src}});
  detail::check_operands("scatter_add", x, src);
  dispatch_arithmetic("scatter_add", x.dtype(), [](auto) {});
  dim = normalize_dim("scatter_add", dim, x.rank());
  check_shapes("scatter_add", x, dim, index);
  bool fits = src.rank() == index.rank();
  for (int d = 0; fits && d < src.rank(); ++d) fits = index.shape()[d] <= src.shape()[d];
  require(fits, "scatter_add", "index must have src's rank and no larger extents, index is ",
          index.shape(), " but src is ", src.shape());
  const Tensor ids = dense(index);
  require_inside("scatter_add", "index", ids, x.shape()[dim]);
  Tensor part = src;
  for (int d = 0; d < src.rank(); ++d) {
    if (index.shape()[d] < part.shape()[d]) part = slice(part, d, 0, index.shape()[d]);
  }
  return add(x, scattered(part, dim, ids, x.shape()));
}

}  // namespace trireme

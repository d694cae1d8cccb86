// Sorting: a kernel finds the places, gather fetches the values, and its gradient is theirs.

#include "kernels/sort.h"

#include "core/ops/as_rows.h"
#include "core/ops/check.h"
#include "core/ops/ops.h"
#include "core/tensor/view.h"

namespace trireme {
namespace {

/// The places of the first k along `dim`, i64; x is seen with `dim` last.
Tensor places(const Tensor& x, int64_t k, int dim, Order order) {
  const Tensor rows = to_contiguous(views::transpose(x, dim, -1));
  Shape shape = rows.shape();
  shape.back() = k;
  const Tensor columns = empty(shape, {DType::kI64, x.device()});
  dispatch_dtype(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(x.device(), [&](auto device) {
      kernels::sort_rows(device, as_rows<const T>(rows), order, k, columns.data<int64_t>());
    });
  });
  return to_contiguous(views::transpose(columns, dim, -1));
}

}  // namespace

Tensor argsort(const Tensor& x, int dim, Order order) {
  detail::check_operand("argsort", x);
  dim = normalize_dim("argsort", dim, x.rank());
  return places(x, x.shape()[dim], dim, order);
}

Sorted sort(const Tensor& x, int dim, Order order) {
  detail::check_operand("sort", x);
  dim = normalize_dim("sort", dim, x.rank());
  const Tensor indices = places(x, x.shape()[dim], dim, order);
  return {gather(x, dim, indices), indices};
}

Sorted topk(const Tensor& x, int64_t k, int dim, Order order) {
  detail::check_operand("topk", x);
  dim = normalize_dim("topk", dim, x.rank());
  require(k >= 0 && k <= x.shape()[dim], "topk", "k must lie in [0, ", x.shape()[dim],
          "], the extent of dimension ", dim, " of ", x.shape(), ", got ", k);
  const Tensor indices = places(x, k, dim, order);
  return {gather(x, dim, indices), indices};
}

}  // namespace trireme

// The smallest element: a kernel finds its place, gather fetches it.

#include "core/ops/check.h"
#include "core/ops/ops.h"
#include "core/tensor/copy.h"
#include "kernels/reduce.h"

namespace trireme {
namespace {

/// Places along `dim`, which is kept with an extent of 1.
Tensor smallest(const char* op, const Tensor& x, int dim) {
  const int64_t n = x.shape()[dim];
  require(n > 0, op, "dimension ", dim, " of ", x.shape(), " is empty: nothing is smallest");
  int64_t outer = 1, inner = 1;
  for (int d = 0; d < dim; ++d) outer *= x.shape()[d];
  for (int d = dim + 1; d < x.rank(); ++d) inner *= x.shape()[d];
  Shape shape = x.shape();
  shape[dim] = 1;
  const Tensor from = to_contiguous(x), indices = empty(shape, {DType::kI64, x.device()});
  dispatch_dtype(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(x.device(), [&](auto device) {
      kernels::min_along(device, from.data<T>(), outer, n, inner, indices.data<int64_t>());
    });
  });
  return indices;
}

Tensor min_of(const Tensor& x, int dim, KeepDim keep) {
  const Tensor y = gather(x, dim, smallest("min", x, dim));
  return keep == KeepDim::kYes ? y : squeeze(y, dim);
}

}  // namespace

Tensor min(const Tensor& x) {
  detail::check_operand("min", x);
  return min_of(reshape(x, {-1}), 0, KeepDim::kNo);
}

Tensor min(const Tensor& x, int dim, KeepDim keep) {
  detail::check_operand("min", x);
  return min_of(x, normalize_dim("min", dim, x.rank()), keep);
}

Tensor argmin(const Tensor& x, int dim) {
  detail::check_operand("argmin", x);
  dim = normalize_dim("argmin", dim, x.rank());
  return squeeze(smallest("argmin", x, dim), dim);
}

}  // namespace trireme

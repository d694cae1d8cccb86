// Products of many elements, by halves: log2(n) multiplications of ever shorter tensors. Their
// gradients give that of the whole, which needs no division and so is exact where factors are 0.

#include <algorithm>

#include "core/ops/autocast.h"
#include "core/ops/check.h"
#include "core/ops/ops.h"

namespace trireme {
namespace {

/// Along `dim`, which is kept with an extent of 1.
Tensor multiplied(const Tensor& x, int dim) {
  // The product of nothing, which still depends on x.
  if (x.shape()[dim] == 0) return add(sum(x, dim, KeepDim::kYes), 1);
  Tensor y = x, odd;
  for (int64_t n = x.shape()[dim]; n > 1; n /= 2) {
    const int64_t half = n / 2;
    if (n % 2 == 1) {
      const Tensor last = slice(y, dim, n - 1, n);
      odd = odd.defined() ? mul(odd, last) : last;
    }
    y = mul(slice(y, dim, 0, half), slice(y, dim, half, 2 * half));
  }
  return odd.defined() ? mul(y, odd) : y;
}

Tensor prod_of(const Tensor& x, int dim, KeepDim keep) {
  const DType dtype = x.dtype();
  // 16-bit products are rounded once, at the end; those of integers need room.
  Tensor y = multiplied(to(x, is_floating(dtype) ? acc_dtype(dtype) : DType::kI64), dim);
  if (is_floating(dtype)) y = to(y, dtype);
  return keep == KeepDim::kYes ? y : squeeze(y, dim);
}

}  // namespace

Tensor prod(const Tensor& x) {
  if (const auto in = detail::autocast<"prod">(x)) return prod(in[0]);
  detail::check_operand("prod", x);
  return prod_of(reshape(x, {-1}), 0, KeepDim::kNo);
}

Tensor prod(const Tensor& x, int dim, KeepDim keep) {
  if (const auto in = detail::autocast<"prod">(x)) return prod(in[0], dim, keep);
  detail::check_operand("prod", x);
  return prod_of(x, normalize_dim("prod", dim, x.rank()), keep);
}

}  // namespace trireme

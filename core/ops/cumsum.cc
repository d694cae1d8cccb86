#include "kernels/cumsum.h"

#include "core/autograd/attach.h"
#include "core/ops/as_rows.h"
#include "core/ops/autocast.h"
#include "core/ops/check.h"
#include "core/ops/ops.h"
#include "core/tensor/view.h"

namespace trireme {
namespace {

using kernels::CumsumFrom;

/// x_i is part of all sums from i on: the gradient is the sum that runs the other way.
Tensor running_sum(const Tensor& x, int dim, CumsumFrom from) {
  const Tensor rows = to_contiguous(views::transpose(x, dim, -1));
  const Tensor sums = dispatch_dtype(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using Sum = kernels::SumOf<T>;
    const Tensor result = empty(rows.shape(), {dtype_of<Sum>, x.device()});
    on_device(x.device(), [&](auto device) {
      kernels::cumsum(device, as_rows<const T>(rows), from, result.data<Sum>());
    });
    return result;
  });
  return attach(differentiable("cumsum"), to_contiguous(views::transpose(sums, dim, -1)),
                wrt(x, [dim, from](const Tensor& dy) {
                  const bool is_forward = from == CumsumFrom::kFirst;
                  return running_sum(dy, dim, is_forward ? CumsumFrom::kLast : CumsumFrom::kFirst);
                }));
}

}  // namespace

Tensor cumsum(const Tensor& x, int dim) {
  if (const auto in = detail::autocast<"cumsum">(x)) return cumsum(in[0], dim);
  detail::check_operand("cumsum", x);
  return running_sum(x, normalize_dim("cumsum", dim, x.rank()), CumsumFrom::kFirst);
}

}  // namespace trireme

#include "kernels/dropout.h"

#include "core/autograd/attach.h"
#include "core/ops/as_rows.h"
#include "core/ops/check.h"
#include "core/ops/ops.h"
#include "core/ops/self_adjoint.h"

namespace trireme {
namespace {

/// Forward and gradient are the same function: x times a mask made from (seed, first).
Tensor apply(const Tensor& x, double p, uint64_t seed, uint64_t first) {
  const Tensor packed = dense(x);
  Tensor y = empty(x.shape(), {x.dtype(), x.device()});
  dispatch_floating("dropout", x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(x.device(), [&](auto device) {
      kernels::dropout(device, packed.data<T>(), y.data<T>(), x.numel(), p, seed, first);
    });
  });
  return y;
}

}  // namespace

Tensor dropout(const Tensor& x, double p, Generator& generator) {
  detail::check_operand("dropout", x);
  require(p >= 0 && p < 1, "dropout", "p must lie in [0, 1), got ", p);
  const uint64_t seed = generator.seed();
  const uint64_t first =
      generator.reserve(static_cast<uint64_t>(kernels::dropout_counters(x.numel())));
  return attach(differentiable("dropout"), apply(x, p, seed, first),
                wrt(x, [p, seed, first](const Tensor& dy) {
                  return detail::self_adjoint("dropout", dy, [p, seed, first](const Tensor& d) {
                    return apply(d, p, seed, first);
                  });
                }));
}

}  // namespace trireme

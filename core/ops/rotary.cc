#include "core/ops/rotary.h"

#include <cmath>

#include "core/autograd/attach.h"
#include "core/ops/as_rows.h"
#include "core/ops/check.h"
#include "core/tensor/create.h"
#include "kernels/rotary.h"

namespace trireme {
namespace {

/// The gradient of turning is turning back, so it can be differentiated without end.
Tensor rotated(const Tensor& x, const kernels::RotarySpec& spec) {
  const Tensor packed = dense(x);
  Tensor y = empty(x.shape(), {x.dtype(), x.device()});
  dispatch_floating("rotary_embedding", x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(x.device(),
              [&](auto device) { kernels::rotary(device, spec, packed.data<T>(), y.data<T>()); });
  });
  return attach(differentiable("rotary_embedding"), std::move(y), wrt(x, [spec](const Tensor& dy) {
                  kernels::RotarySpec back = spec;
                  back.inverse = !spec.inverse;
                  return rotated(dy, back);
                }));
}

}  // namespace

Tensor rotary_embedding(const Tensor& x, RotaryOptions options) {
  constexpr const char* kOp = "rotary_embedding";
  detail::check_operand(kOp, x);
  require(x.rank() == 4, kOp, "x must be [batch, time, heads, head_dim], got ", x.shape());
  const int64_t heads = x.size(2), head_dim = x.size(3);
  require(head_dim % 2 == 0, kOp, "head_dim must be even, got ", head_dim);
  require(options.theta > 0 && std::isfinite(options.theta), kOp,
          "theta must be positive and finite, got ", options.theta);
  require(options.first >= 0, kOp, "first must not be negative, got ", options.first);
  require(options.rotated >= -1 && options.rotated <= heads, kOp, "rotated must lie in [0, ", heads,
          "], the heads of x, or be -1, got ", options.rotated);
  return rotated(x, {.batch = x.size(0),
                     .time = x.size(1),
                     .heads = heads,
                     .head_dim = head_dim,
                     .rotated = options.rotated < 0 ? heads : options.rotated,
                     .first = options.first,
                     .theta = options.theta});
}

}  // namespace trireme

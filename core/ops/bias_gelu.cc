#include "kernels/bias_gelu.h"

#include "core/autograd/attach.h"
#include "core/ops/as_rows.h"
#include "core/ops/autocast.h"
#include "core/ops/check.h"
#include "core/ops/ops.h"

namespace trireme {

Tensor bias_gelu(const Tensor& x, const Tensor& bias) {
  detail::check_defined("bias_gelu", {{"x", &x}, {"bias", &bias}});
  if (const auto in = detail::autocast<"bias_gelu">(x, bias)) return bias_gelu(in[0], in[1]);
  require(x.rank() >= 1 && bias.shape() == Shape{x.size(-1)}, "bias_gelu",
          "x must be [.., features] and bias [features], got ", x.shape(), " and ", bias.shape());
  require(x.dtype() == bias.dtype() && x.device() == bias.device(), "bias_gelu",
          "x and bias must agree, x is ", x.dtype(), " on ", x.device(), " but bias is ",
          bias.dtype(), " on ", bias.device());
  const Tensor packed = dense(x), shift = dense(bias);
  Tensor y = empty(x.shape(), {x.dtype(), x.device()});
  dispatch_floating("bias_gelu", x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(x.device(), [&](auto device) {
      kernels::bias_gelu<T>(device, as_rows<const T>(packed), shift.data<T>(), as_rows<T>(y));
    });
  });
  return attach_joint<2>(
      "bias_gelu", std::move(y), {&x, &bias},
      [x = save(x), bias = save(bias)](const Tensor& dy, const std::array<bool, 2>& need) {
        const Tensor v = dense(x()), b = dense(bias()), d = dense(dy);
        std::array<Tensor, 2> gradients{empty_like(v), Tensor()};
        if (need[1]) gradients[1] = empty_like(b);
        dispatch_floating("bias_gelu", v.dtype(), [&](auto tag) {
          using T = typename decltype(tag)::type;
          on_device(v.device(), [&](auto device) {
            kernels::bias_gelu_backward<T>(device, as_rows<const T>(v), b.data<T>(),
                                           as_rows<const T>(d), as_rows<T>(gradients[0]),
                                           need[1] ? gradients[1].data<T>() : nullptr);
          });
        });
        return gradients;
      });
}

}  // namespace trireme

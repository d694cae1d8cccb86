#include "core/ops/conv2d_norm.h"

#include "core/autograd/no_grad.h"
#include "core/ops/as_rows.h"
#include "core/ops/autocast.h"
#include "core/ops/convolution_parts.h"
#include "core/ops/norm_factor.h"
#include "core/tensor/create.h"
#include "kernels/conv2d_norm.h"

namespace trireme {
namespace {

constexpr const char* kOp = "conv2d_batch_norm";

bool is_recorded(const Tensor& x, const Tensor& weight, const FrozenNorm& norm,
                 const Tensor& residual) {
  if (!is_recording()) return false;
  for (const Tensor* t : {&x, &weight, &norm.gamma, &norm.beta, &residual}) {
    if (t->defined() && t->requires_grad()) return true;
  }
  return false;
}

Tensor from_ops(const Tensor& x, const Tensor& weight, const Conv2dOptions& options,
                const FrozenNorm& norm, bool relu, const Tensor& residual) {
  const BatchNormOptions frozen{.training = false, .eps = norm.eps};
  const Tensor y = conv2d(x, weight, {}, options);
  return relu ? batch_norm_relu(y, residual, norm.gamma, norm.beta, norm.running_mean,
                                norm.running_var, frozen)
              : batch_norm(y, norm.gamma, norm.beta, norm.running_mean, norm.running_var, frozen);
}

}  // namespace

Tensor conv2d_batch_norm(const Tensor& x, const Tensor& weight, const Conv2dOptions& options,
                         const FrozenNorm& norm, bool relu, const Tensor& residual) {
  require(norm.running_mean.defined() && norm.running_var.defined(), kOp,
          "running_mean and running_var must be given");
  require(relu || !residual, kOp, "a residual is added before relu only");
  if (is_recorded(x, weight, norm, residual)) {
    return from_ops(x, weight, options, norm, relu, residual);
  }
  if (const auto in = detail::autocast<"conv2d">(x, weight)) {
    return conv2d_batch_norm(in[0], in[1], options, norm, relu, residual);
  }
  const kernels::Conv2dGeometry g =
      detail::checked_geometry("conv2d", x, weight, {}, detail::windows_of(options));
  Tensor y =
      empty({g.batch, g.out_height(), g.out_width(), g.out_channels}, {x.dtype(), x.device()});
  for (const auto& [what, t] : {std::pair{"gamma", &norm.gamma}, std::pair{"beta", &norm.beta}}) {
    detail::check_channel_factor(kOp, what, *t, y, y.dtype());
  }
  detail::check_channel_factor(kOp, "running_mean", norm.running_mean, y, acc_dtype(y.dtype()));
  detail::check_channel_factor(kOp, "running_var", norm.running_var, y, acc_dtype(y.dtype()));
  detail::check_eps(kOp, norm.eps);
  if (residual) {
    require(residual.shape() == y.shape() && residual.dtype() == y.dtype(), kOp,
            "residual must be like the result, ", y.dtype(), y.shape(), ", got ", residual.dtype(),
            residual.shape());
    detail::check_device(kOp, x, "residual", residual);
  }
  if (y.numel() == 0) return y;
  const NoGrad no_grad;
  const Tensor gamma = detail::wide_factor(norm.gamma), beta = detail::wide_factor(norm.beta);
  const Tensor mean = dense(norm.running_mean), var = dense(norm.running_var);
  const Tensor image = dense(x), filter = dense(weight);
  const Tensor added = residual ? dense(residual) : residual;
  const Tensor scale = empty({g.out_channels}, {acc_dtype(x.dtype()), x.device()});
  const Tensor shift = empty_like(scale);
  const auto end = !relu      ? kernels::NormEnd::kPlain
                   : residual ? kernels::NormEnd::kAddRelu
                              : kernels::NormEnd::kRelu;
  dispatch_floating(kOp, x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using A = Acc<T>;
    on_device(x.device(), [&](auto device) {
      kernels::conv2d_norm<T>(
          device, {g,
                   end,
                   {detail::data_or_null<A>(gamma), detail::data_or_null<A>(beta), mean.data<A>(),
                    var.data<A>(), static_cast<A>(norm.eps), scale.data<A>(), shift.data<A>()},
                   image.data<T>(),
                   filter.data<T>(),
                   detail::data_or_null<T>(added),
                   y.data<T>()});
    });
  });
  return y;
}

}  // namespace trireme

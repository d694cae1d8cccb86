#include "kernels/layer_norm.h"

#include "core/autograd/attach.h"
#include "core/autograd/gradient_home.h"
#include "core/ops/as_rows.h"
#include "core/ops/autocast.h"
#include "core/ops/check.h"
#include "core/ops/norm_factor.h"
#include "core/ops/ops.h"

namespace trireme {
namespace {

std::array<Tensor, 2> gradients(const Tensor& x, const Tensor& gamma, const Tensor& rstd,
                                const Tensor& dy, const std::array<bool, 2>& need,
                                const GradientHome& dgamma) {
  const TensorOptions options{x.dtype(), x.device()};
  std::array<Tensor, 2> d;
  if (need[0]) d[0] = empty(x.shape(), options);
  if (need[1]) d[1] = dgamma.empty({x.size(-1)}, options);
  dispatch_floating("rms_norm", x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    MatrixView<T> dx{nullptr, 0, 0, 0};
    if (need[0]) dx = as_rows<T>(d[0]);
    on_device(x.device(), [&](auto device) {
      kernels::layer_norm_backward<T>(device, as_rows<const T>(x), detail::data_or_null<T>(gamma),
                                      nullptr, rstd.data<Acc<T>>(), as_rows<const T>(dy), dx,
                                      detail::data_or_null<T>(d[1]), nullptr);
    });
  });
  return d;
}

/// The same from ops: with n = x rstd, dx = rstd (g - n mean(g n)) for g = dy gamma.
std::array<Tensor, 2> composed(const Tensor& x, const Tensor& gamma, double eps, const Tensor& dy) {
  const Tensor rstd = rsqrt(mean(square(x), -1, KeepDim::kYes) + eps);
  const Tensor n = x * rstd;
  const Tensor g = gamma ? dy * gamma : dy;
  return {rstd * (g - n * mean(g * n, -1, KeepDim::kYes)),
          gamma ? sum_to(dy * n, gamma.shape()) : Tensor()};
}

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& gamma, double eps) {
  if (const auto in = detail::autocast<"rms_norm">(x, gamma)) return rms_norm(in[0], in[1], eps);
  detail::check_defined("rms_norm", {{"x", &x}});
  require(x.rank() >= 1, "rms_norm", "x must be [.., features], got ", x.shape());
  detail::check_norm_factor("rms_norm", "gamma", gamma, x);
  detail::check_eps("rms_norm", eps);
  const Tensor packed = dense(x), scale = gamma ? dense(gamma) : gamma;
  Tensor y = empty(x.shape(), {x.dtype(), x.device()});
  Shape rows = x.shape();
  rows.erase(rows.rank() - 1);
  const Tensor rstd = empty(rows, {acc_dtype(x.dtype()), x.device()});
  dispatch_floating("rms_norm", x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(x.device(), [&](auto device) {
      kernels::layer_norm<T>(device, as_rows<const T>(packed), detail::data_or_null<T>(scale),
                             nullptr, eps, as_rows<T>(y), nullptr, rstd.data<Acc<T>>());
    });
  });
  return attach_joint<2>(
      differentiable("rms_norm"), std::move(y), {&x, &gamma},
      [x = save(x), gamma = gamma ? std::optional(save(gamma)) : std::nullopt, rstd = save(rstd),
       home = GradientHome(gamma), eps](const Tensor& dy, const std::array<bool, 2>& need) {
        if (is_recording()) return composed(x(), gamma ? (*gamma)() : Tensor(), eps, dy);
        return gradients(dense(x()), gamma ? dense((*gamma)()) : Tensor(), rstd(), dense(dy), need,
                         home);
      });
}

}  // namespace trireme

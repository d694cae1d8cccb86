#include "kernels/layer_norm.h"

#include "core/autograd/attach.h"
#include "core/autograd/gradient_home.h"
#include "core/ops/as_rows.h"
#include "core/ops/autocast.h"
#include "core/ops/check.h"
#include "core/ops/norm_factor.h"
#include "core/ops/norm_gradients.h"
#include "core/ops/ops.h"

namespace trireme {
namespace {

/// What backward needs; x is kept as it was given, mean and rstd are [rows].
struct Kept {
  Saved x;
  std::optional<Saved> gamma;
  Saved mean, rstd;
  double eps;
  GradientHome dgamma, dbeta;
};

std::array<Tensor, 3> gradients(const Kept& kept, const Tensor& dy,
                                const std::array<bool, 3>& need) {
  const Tensor x = dense(kept.x()), g = dense(dy);
  const Tensor gamma = kept.gamma ? dense((*kept.gamma)()) : Tensor();
  const Tensor &mean = kept.mean(), &rstd = kept.rstd();
  const TensorOptions options{x.dtype(), x.device()};
  std::array<Tensor, 3> d;
  if (need[0]) d[0] = empty(x.shape(), options);
  if (need[1]) d[1] = kept.dgamma.empty({x.size(-1)}, options);
  if (need[2]) d[2] = kept.dbeta.empty({x.size(-1)}, options);
  dispatch_floating("layer_norm", x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    MatrixView<T> dx{nullptr, 0, 0, 0};
    if (need[0]) dx = as_rows<T>(d[0]);
    on_device(x.device(), [&](auto device) {
      kernels::layer_norm_backward(device, as_rows<const T>(x), detail::data_or_null<T>(gamma),
                                   mean.data<Acc<T>>(), rstd.data<Acc<T>>(), as_rows<const T>(g),
                                   dx, detail::data_or_null<T>(d[1]),
                                   detail::data_or_null<T>(d[2]));
    });
  });
  return d;
}

/// The same from ops.
std::array<Tensor, 3> composed(const Kept& kept, const Tensor& dy) {
  const Tensor& x = kept.x();
  constexpr int kRows[] = {-1};
  auto d = detail::norm_gradients(x, kept.gamma ? (*kept.gamma)() : Tensor(), dy, kept.eps,
                                  x.shape(), kRows);
  d[2] = to(d[2], x.dtype());
  return d;
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps) {
  if (const auto in = detail::autocast<"layer_norm">(x, gamma, beta))
    return layer_norm(in[0], in[1], in[2], eps);
  detail::check_defined("layer_norm", {{"x", &x}});
  require(x.rank() >= 1, "layer_norm", "x must be [.., features], got ", x.shape());
  detail::check_norm_factor("layer_norm", "gamma", gamma, x);
  detail::check_norm_factor("layer_norm", "beta", beta, x);
  detail::check_eps("layer_norm", eps);
  const Tensor packed = dense(x);
  const Tensor scale = gamma ? dense(gamma) : gamma;
  const Tensor shift = beta ? dense(beta) : beta;
  const TensorOptions options{x.dtype(), x.device()};
  Tensor y = empty(x.shape(), options);
  Shape rows = x.shape();
  rows.erase(rows.rank() - 1);
  const TensorOptions statistics{acc_dtype(x.dtype()), x.device()};
  const Tensor mean = empty(rows, statistics), rstd = empty(rows, statistics);
  dispatch_floating("layer_norm", x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(x.device(), [&](auto device) {
      kernels::layer_norm(device, as_rows<const T>(packed), detail::data_or_null<T>(scale),
                          detail::data_or_null<T>(shift), eps, as_rows<T>(y), mean.data<Acc<T>>(),
                          rstd.data<Acc<T>>());
    });
  });
  Kept kept{save(x), {}, save(mean), save(rstd), eps, GradientHome(gamma), GradientHome(beta)};
  if (gamma) kept.gamma = save(gamma);
  return attach_joint<3>(
      differentiable("layer_norm"), std::move(y), {&x, &gamma, &beta},
      [kept = std::move(kept)](const Tensor& dy, const std::array<bool, 3>& need) {
        return is_recording() ? composed(kept, dy) : gradients(kept, dy, need);
      });
}

}  // namespace trireme

#include "kernels/group_norm.h"

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

kernels::GroupedImages images_of(const Tensor& x, int64_t groups) {
  int64_t positions = 1;
  for (int d = 1; d + 1 < x.rank(); ++d) positions *= x.shape()[d];
  return {x.size(0), positions, x.size(-1), groups};
}

/// What backward needs; mean and rstd are [batch, groups].
struct Kept {
  int64_t groups;
  double eps;
  Saved x;
  std::optional<Saved> gamma;
  Tensor mean, rstd;
  GradientHome dgamma, dbeta;
};

std::array<Tensor, 3> gradients(const Kept& kept, const Tensor& dy,
                                const std::array<bool, 3>& need) {
  const Tensor x = dense(kept.x()), g = dense(dy);
  const Tensor gamma = kept.gamma ? dense((*kept.gamma)()) : Tensor();
  const TensorOptions options{x.dtype(), x.device()};
  std::array<Tensor, 3> d;
  if (need[0]) d[0] = empty(x.shape(), options);
  if (need[1]) d[1] = kept.dgamma.empty({x.size(-1)}, options);
  if (need[2]) d[2] = kept.dbeta.empty({x.size(-1)}, options);
  dispatch_floating("group_norm", x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(x.device(), [&](auto device) {
      kernels::group_norm_backward<T>(device, images_of(x, kept.groups), x.data<T>(),
                                      detail::data_or_null<T>(gamma), kept.mean.data<Acc<T>>(),
                                      kept.rstd.data<Acc<T>>(), g.data<T>(),
                                      detail::data_or_null<T>(d[0]), detail::data_or_null<T>(d[1]),
                                      detail::data_or_null<T>(d[2]));
    });
  });
  return d;
}

/// The same from ops.
std::array<Tensor, 3> composed(const Kept& kept, const Tensor& dy) {
  const Tensor& x = kept.x();
  const kernels::GroupedImages images = images_of(x, kept.groups);
  const Shape grouped{images.batch, images.positions, kept.groups, x.size(-1) / kept.groups};
  constexpr int kGroup[] = {1, 3};
  auto d = detail::norm_gradients(x, kept.gamma ? (*kept.gamma)() : Tensor(), dy, kept.eps, grouped,
                                  kGroup);
  d[2] = to(d[2], x.dtype());
  return d;
}

}  // namespace

Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& gamma, const Tensor& beta,
                  double eps) {
  if (const auto in = detail::autocast<"group_norm">(x, gamma, beta))
    return group_norm(in[0], groups, in[1], in[2], eps);
  detail::check_defined("group_norm", {{"x", &x}});
  require(x.rank() >= 2, "group_norm", "x must be [batch, .., channels], got ", x.shape());
  require(groups >= 1 && x.size(-1) % groups == 0, "group_norm", groups,
          " groups must divide the channels of x ", x.shape());
  detail::check_norm_factor("group_norm", "gamma", gamma, x);
  detail::check_norm_factor("group_norm", "beta", beta, x);
  detail::check_eps("group_norm", eps);
  const Tensor packed = dense(x);
  const Tensor scale = gamma ? dense(gamma) : gamma, shift = beta ? dense(beta) : beta;
  Tensor y = empty(x.shape(), {x.dtype(), x.device()});
  const TensorOptions statistics{acc_dtype(x.dtype()), x.device()};
  const Tensor mean = empty({x.size(0), groups}, statistics);
  const Tensor rstd = empty({x.size(0), groups}, statistics);
  dispatch_floating("group_norm", x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(x.device(), [&](auto device) {
      kernels::group_norm<T>(device, images_of(x, groups), packed.data<T>(),
                             detail::data_or_null<T>(scale), detail::data_or_null<T>(shift), eps,
                             y.data<T>(), mean.data<Acc<T>>(), rstd.data<Acc<T>>());
    });
  });
  Kept kept{groups, eps, save(x), {}, mean, rstd, GradientHome(gamma), GradientHome(beta)};
  if (gamma) kept.gamma = save(gamma);
  return attach_joint<3>(
      differentiable("group_norm"), std::move(y), {&x, &gamma, &beta},
      [kept = std::move(kept)](const Tensor& dy, const std::array<bool, 3>& need) {
        return is_recording() ? composed(kept, dy) : gradients(kept, dy, need);
      });
}

}  // namespace trireme

#include "kernels/batch_norm_whole.h"

#include "core/autograd/attach.h"
#include "core/autograd/gradient_home.h"
#include "core/ops/as_rows.h"
#include "core/ops/check.h"
#include "core/ops/norm_factor.h"
#include "core/ops/norm_gradients.h"
#include "core/ops/ops.h"
#include "core/tensor/copy.h"

namespace trireme {
namespace {

constexpr const char *kPlain = "batch_norm", *kRelu = "batch_norm_relu";

/// What both ops ask of what they have in common.
void check(const char* op, const Tensor& x, const Tensor& gamma, const Tensor& beta,
           const Tensor& running_mean, const Tensor& running_var, const BatchNormOptions& o) {
  detail::check_defined(op, {{"x", &x}});
  require(x.rank() >= 2 && x.size(-1) > 0 && is_floating(x.dtype()), op,
          "x must be floating [batch, .., channels], got ", x.dtype(), x.shape());
  detail::check_channel_factor(op, "gamma", gamma, x, x.dtype());
  detail::check_channel_factor(op, "beta", beta, x, x.dtype());
  detail::check_channel_factor(op, "running_mean", running_mean, x, acc_dtype(x.dtype()));
  detail::check_channel_factor(op, "running_var", running_var, x, acc_dtype(x.dtype()));
  require(running_mean.defined() == running_var.defined(), op,
          "running_mean and running_var must be given together, got ",
          running_mean ? "running_mean" : "running_var", " alone");
  detail::check_eps(op, o.eps);
  detail::check_momentum(op, o.momentum);
  require(!(o.training || !running_mean) || x.numel() != x.size(-1), op,
          "needs more than one value per channel in training, got ", x.shape());
  if (!o.training || !running_mean) return;
  check_writable(op, running_mean);
  check_writable(op, running_var);
  require(running_mean.is_contiguous() && running_var.is_contiguous(), op,
          "running_mean and running_var must be contiguous, got strides ", running_mean.strides(),
          " and ", running_var.strides());
}

/// What y and dx are computed from, [channels] each.
struct Moments {
  Tensor mean, rstd;
  double eps = 0;
  bool of_batch = true;  // false: running statistics, which do not depend on x
};

kernels::NormedShape normed_shape(const Tensor& x) {
  const int64_t batch = x.size(0), channels = x.size(-1);
  if (x.rank() == 4) return {batch, x.size(1), x.size(2), channels};
  return {batch, x.numel() / (batch * channels), 1, channels};
}

/// y = end(normalised x), with the moments that it was computed with. x is dense and has elements,
/// as y and the residual, which may be undefined. Moves the running statistics in training.
Moments normalise(const char* op, kernels::NormEnd end, const Tensor& x, const Tensor& residual,
                  const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                  const Tensor& running_var, const BatchNormOptions& o, const Tensor& y) {
  // The statistics have no history of their own: the formulas account for them.
  const NoGrad no_grad;
  Moments m;
  m.eps = o.eps;
  m.of_batch = o.training || !running_mean;
  const TensorOptions like{acc_dtype(x.dtype()), x.device()};
  m.mean = m.of_batch ? empty({x.size(-1)}, like) : clone_detached(running_mean);
  m.rstd = m.of_batch ? empty({x.size(-1)}, like) : rsqrt(running_var + o.eps);
  const bool moves = o.training && running_mean;
  const Tensor scale = detail::wide_factor(gamma), shift = detail::wide_factor(beta);
  dispatch_floating(op, x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using A = Acc<T>;
    const A *weight = detail::data_or_null<A>(scale), *bias = detail::data_or_null<A>(shift);
    const T* added = detail::data_or_null<T>(residual);
    const auto rows = as_rows<T>(y);
    on_device(x.device(), [&](auto device) {
      if (m.of_batch) {
        kernels::RunningMoments<A> running;
        if (moves) {
          running = {running_mean.data<A>(), running_var.data<A>(), static_cast<A>(o.momentum)};
        }
        kernels::batch_norm_step<T>(
            device,
            {normed_shape(x), end, x.data<T>(), added, weight, bias, static_cast<A>(o.eps),
             m.mean.data<A>(), m.rstd.data<A>(), y.data<T>()},
            running);
      } else if (end == kernels::NormEnd::kPlain) {
        kernels::batch_norm<T>(device, as_rows<const T>(x), m.mean.data<A>(), m.rstd.data<A>(),
                               weight, bias, rows);
      } else {
        kernels::batch_norm_relu<T>(device, as_rows<const T>(x), m.mean.data<A>(), m.rstd.data<A>(),
                                    weight, bias, {added, rows.rows, rows.cols, rows.cols}, rows);
      }
    });
  });
  if (moves) {
    running_mean.bump_version();
    running_var.bump_version();
  }
  return m;
}

/// gamma and beta as they are kept, and the dtypes and the places that their gradients have.
struct Factors {
  Factors(const Tensor& x, const Tensor& scale, const Tensor& shift)
      : gamma(scale ? std::optional(save(scale)) : std::nullopt),
        beta(shift ? std::optional(save(shift)) : std::nullopt),
        gamma_dtype(scale ? scale.dtype() : x.dtype()),
        beta_dtype(shift ? shift.dtype() : x.dtype()),
        dgamma(scale),
        dbeta(shift) {}
  Tensor wide_gamma() const { return gamma ? detail::wide_factor((*gamma)()) : Tensor(); }
  Tensor wide_beta() const { return beta ? detail::wide_factor((*beta)()) : Tensor(); }

  std::optional<Saved> gamma, beta;
  DType gamma_dtype, beta_dtype;
  GradientHome dgamma, dbeta;
};

/// The sums that are the gradients of gamma and beta, in the dtype of statistics; zero for an empty
/// x, else to be computed.
std::array<Tensor, 2> make_sums(const Tensor& x, const Factors& factors) {
  const TensorOptions like{acc_dtype(x.dtype()), x.device()};
  const Shape channels{x.size(-1)};
  if (x.numel() == 0) return {zeros(channels, like), zeros(channels, like)};
  return {factors.dgamma.empty(channels, like), factors.dbeta.empty(channels, like)};
}

/// dx, dgamma, dbeta and, for kAddRelu if g is defined, g, all of a batch's own statistics.
void whole_gradient(kernels::NormEnd end, const Tensor& x, const Factors& factors, const Moments& m,
                    const Tensor& y, const Tensor& dy, const Tensor& g, const Tensor& dx,
                    const Tensor& dgamma, const Tensor& dbeta) {
  const Tensor gamma = factors.wide_gamma(), beta = factors.wide_beta();
  dispatch_floating(kPlain, x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using A = Acc<T>;
    on_device(x.device(), [&](auto device) {
      kernels::batch_norm_gradient<T>(
          device, {normed_shape(x), end, x.data<T>(), detail::data_or_null<T>(y), dy.data<T>(),
                   detail::data_or_null<A>(gamma), detail::data_or_null<A>(beta), m.mean.data<A>(),
                   m.rstd.data<A>(), detail::data_or_null<T>(g), dx.data<T>(), dgamma.data<A>(),
                   dbeta.data<A>()});
    });
  });
}

/// The sums alone, and g, which is undefined for kPlain: what the factors and the residual need.
void gradient_sums(kernels::NormEnd end, const Tensor& x, const Moments& m, const Tensor& y,
                   const Tensor& dy, const Tensor& g, const Tensor& dgamma, const Tensor& dbeta) {
  dispatch_floating(kPlain, x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using A = Acc<T>;
    const A *mean = m.mean.data<A>(), *rstd = m.rstd.data<A>();
    on_device(x.device(), [&](auto device) {
      if (end == kernels::NormEnd::kPlain) {
        kernels::batch_norm_sums<T>(device, as_rows<const T>(x), mean, rstd, as_rows<const T>(dy),
                                    dgamma.data<A>(), dbeta.data<A>());
      } else {
        kernels::batch_norm_relu_sums<T>(device, as_rows<const T>(x), mean, rstd,
                                         as_rows<const T>(y), as_rows<const T>(dy), as_rows<T>(g),
                                         dgamma.data<A>(), dbeta.data<A>());
      }
    });
  });
}

/// dx where the statistics do not depend on x: y is linear in x.
void linear_gradient(const Tensor& gamma, const Moments& m, const Tensor& upstream,
                     const Tensor& dx) {
  dispatch_floating(kPlain, dx.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using A = Acc<T>;
    const Tensor none = zeros({dx.size(-1)}, {acc_dtype(dx.dtype()), dx.device()});
    on_device(dx.device(), [&](auto device) {
      kernels::batch_norm<T>(device, as_rows<const T>(upstream), none.data<A>(), m.rstd.data<A>(),
                             detail::data_or_null<A>(gamma), nullptr, as_rows<T>(dx));
    });
  });
}

/// The gradients of x, gamma, beta and the residual. y is undefined for kPlain.
std::array<Tensor, 4> gradients(kernels::NormEnd end, const Tensor& x, const Factors& factors,
                                const Moments& m, const Tensor& y, const Tensor& dy,
                                const std::array<bool, 4>& need) {
  const bool has_relu = end != kernels::NormEnd::kPlain;
  const auto [dgamma, dbeta] = make_sums(x, factors);
  Tensor dx = need[0] ? empty_like(x) : Tensor();
  // The gradient of what relu took, and so of the residual; lies in dx's place if nobody wants it.
  Tensor g = need[3] ? empty_like(x) : Tensor();
  if (x.numel() > 0) {
    if (need[0] && m.of_batch) {
      whole_gradient(end, x, factors, m, y, dy, g, dx, dgamma, dbeta);
    } else {
      const Tensor upstream = !has_relu ? dy : g ? g : dx ? dx : empty_like(x);
      if (has_relu || need[1] || need[2]) {
        gradient_sums(end, x, m, y, dy, upstream, dgamma, dbeta);
      }
      if (need[0]) linear_gradient(factors.wide_gamma(), m, upstream, dx);
    }
  }
  return {dx, need[1] ? cast(dgamma, factors.gamma_dtype) : Tensor(),
          need[2] ? cast(dbeta, factors.beta_dtype) : Tensor(), g};
}

/// The same from ops; dy is the gradient of the normalised values.
std::array<Tensor, 3> composed(const Tensor& x, const Factors& factors, const Moments& m,
                               const Tensor& dy) {
  const Tensor gamma = factors.gamma ? (*factors.gamma)() : Tensor();
  const Shape channels{x.size(-1)};
  std::array<Tensor, 3> d;
  if (x.numel() == 0 || m.of_batch) {
    const Shape rows{x.numel() / x.size(-1), x.size(-1)};
    constexpr int kColumns[] = {0};
    d = detail::norm_gradients(x, gamma, dy, m.eps, rows, kColumns);
  } else {
    const DType wide = acc_dtype(x.dtype());
    const Tensor upstream = to(dy, wide) * m.rstd;
    d = {to(gamma ? upstream * to(gamma, wide) : upstream, x.dtype()),
         to(sum_to(upstream * (to(x, wide) - m.mean), channels), factors.gamma_dtype),
         sum_to(to(dy, wide), channels)};
  }
  d[2] = to(d[2], factors.beta_dtype);
  return d;
}

std::array<Tensor, 4> composed_relu(const Tensor& x, const Factors& factors, const Moments& m,
                                    const Tensor& y, const Tensor& dy) {
  const Tensor g = where(less_equal(y, 0), zeros_like(dy), dy);  // NaN passes
  const auto [dx, dgamma, dbeta] = composed(x, factors, m, g);
  return {dx, dgamma, dbeta, g};
}

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                  const Tensor& running_mean, const Tensor& running_var, BatchNormOptions options) {
  constexpr auto kEnd = kernels::NormEnd::kPlain;
  check(kPlain, x, gamma, beta, running_mean, running_var, options);
  const Tensor packed = dense(x);
  Tensor y = empty_like(packed);
  Moments m;
  if (x.numel() > 0) {
    m = normalise(kPlain, kEnd, packed, {}, gamma, beta, running_mean, running_var, options, y);
  }
  return attach_joint<3>(differentiable(kPlain), std::move(y), {&x, &gamma, &beta},
                         [x = save(x), factors = Factors(x, gamma, beta), m](
                             const Tensor& dy, const std::array<bool, 3>& need) {
                           if (is_recording()) return composed(x(), factors, m, dy);
                           auto d = gradients(kEnd, dense(x()), factors, m, {}, dense(dy),
                                              {need[0], need[1], need[2], false});
                           return std::array<Tensor, 3>{d[0], d[1], d[2]};
                         });
}

Tensor batch_norm_relu(const Tensor& x, const Tensor& residual, const Tensor& gamma,
                       const Tensor& beta, const Tensor& running_mean, const Tensor& running_var,
                       BatchNormOptions options) {
  check(kRelu, x, gamma, beta, running_mean, running_var, options);
  if (residual) {
    require(residual.shape() == x.shape() && residual.dtype() == x.dtype(), kRelu,
            "residual must be like x, ", x.dtype(), x.shape(), ", got ", residual.dtype(),
            residual.shape());
    detail::check_device(kRelu, x, "residual", residual);
  }
  const auto end = residual ? kernels::NormEnd::kAddRelu : kernels::NormEnd::kRelu;
  const Tensor packed = dense(x), added = residual ? dense(residual) : residual;
  Tensor y = empty_like(packed);
  Moments m;
  if (x.numel() > 0) {
    m = normalise(kRelu, end, packed, added, gamma, beta, running_mean, running_var, options, y);
  }
  Saved result = save_output(y);
  return attach_joint<4>(
      differentiable(kRelu), std::move(y), {&x, &gamma, &beta, &residual},
      [end, x = save(x), y = std::move(result), factors = Factors(x, gamma, beta), m](
          const Tensor& dy, const std::array<bool, 4>& need) {
        if (is_recording()) return composed_relu(x(), factors, m, y(), dy);
        return gradients(end, dense(x()), factors, m, y(), dense(dy), need);
      });
}

}  // namespace trireme

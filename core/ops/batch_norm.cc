#include "kernels/batch_norm.h"

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

/// Factors may have x's dtype, or f32 beside 16-bit x, as statistics do.
void check_per_channel(const char* op, const char* what, const Tensor& t, const Tensor& x,
                       DType also) {
  if (!t) return;
  const DType wide = acc_dtype(x.dtype());
  require(t.dtype() == wide || t.dtype() == also, op, what, " must be ", wide, " for x of ",
          x.dtype(), ", got ", t.dtype(), "; convert with to()");
  require(t.device() == x.device(), op, "devices differ, x is on ", x.device(), " but ", what,
          " is on ", t.device());
  require(t.shape() == Shape{x.size(-1)}, op, what, " must be [", x.size(-1), "] for x of ",
          x.shape(), ", got ", t.shape());
}

/// What both ops ask of what they have in common.
void check(const char* op, const Tensor& x, const Tensor& gamma, const Tensor& beta,
           const Tensor& running_mean, const Tensor& running_var, const BatchNormOptions& o) {
  detail::check_defined(op, {{"x", &x}});
  require(x.rank() >= 2 && x.size(-1) > 0 && is_floating(x.dtype()), op,
          "x must be floating [batch, .., channels], got ", x.dtype(), x.shape());
  check_per_channel(op, "gamma", gamma, x, x.dtype());
  check_per_channel(op, "beta", beta, x, x.dtype());
  check_per_channel(op, "running_mean", running_mean, x, acc_dtype(x.dtype()));
  check_per_channel(op, "running_var", running_var, x, acc_dtype(x.dtype()));
  require(running_mean.defined() == running_var.defined(), op,
          "running_mean and running_var must be given together");
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

Moments batch_moments(const Tensor& x, const BatchNormOptions& o, const Tensor& running_mean,
                      const Tensor& running_var) {
  const TensorOptions like{acc_dtype(x.dtype()), x.device()};
  const Tensor mean = empty({x.size(-1)}, like), rstd = empty({x.size(-1)}, like);
  const bool moves = o.training && running_mean;
  dispatch_floating(kPlain, x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using A = Acc<T>;
    kernels::RunningMoments<A> running;
    if (moves) {
      running = {running_mean.data<A>(), running_var.data<A>(), static_cast<A>(o.momentum)};
    }
    on_device(x.device(), [&](auto device) {
      kernels::batch_moments<T>(device, as_rows<const T>(x), static_cast<A>(o.eps), running,
                                mean.data<A>(), rstd.data<A>());
    });
  });
  if (moves) {
    running_mean.bump_version();
    running_var.bump_version();
  }
  return {mean, rstd, o.eps, true};
}

/// Moments of a dense x with elements.
Moments moments_of(const Tensor& x, const BatchNormOptions& o, const Tensor& running_mean,
                   const Tensor& running_var) {
  // The statistics have no history of their own: the formulas account for them.
  const NoGrad no_grad;
  if (o.training || !running_mean) return batch_moments(x, o, running_mean, running_var);
  return {clone_detached(running_mean), rsqrt(running_var + o.eps), o.eps, false};
}

/// A factor as the kernels read it: dense, without history, in the dtype of statistics.
Tensor wide(const Tensor& factor) {
  return factor ? dense(cast(factor, acc_dtype(factor.dtype()))) : factor;
}

/// gamma as it is kept, and the dtypes and the place that the gradients of gamma and beta have.
struct Factors {
  Factors(const Tensor& x, const Tensor& scale, const Tensor& shift)
      : gamma(scale ? std::optional(save(scale)) : std::nullopt),
        gamma_dtype(scale ? scale.dtype() : x.dtype()),
        beta_dtype(shift ? shift.dtype() : x.dtype()),
        dgamma(scale),
        dbeta(shift) {}
  Tensor wide_gamma() const { return gamma ? wide((*gamma)()) : Tensor(); }

  std::optional<Saved> gamma;
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

/// dx from dy, the gradient of the normalised values, and its sums; written over dy if `in_place`.
Tensor input_gradient(const Tensor& x, const Tensor& gamma, const Moments& m, const Tensor& dy,
                      const Tensor& dgamma, const Tensor& dbeta, bool in_place) {
  Tensor dx = in_place ? dy : empty_like(x);
  if (x.numel() == 0) return dx;
  dispatch_floating(kPlain, x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using A = Acc<T>;
    on_device(x.device(), [&](auto device) {
      const auto upstream = as_rows<const T>(dy);
      const A* rstd = m.rstd.data<A>();
      if (m.of_batch) {
        kernels::batch_norm_input_gradient<T>(device, as_rows<const T>(x), m.mean.data<A>(), rstd,
                                              detail::data_or_null<A>(gamma), dgamma.data<A>(),
                                              dbeta.data<A>(), upstream, as_rows<T>(dx));
      } else {
        // y is linear in x: the same factors, nothing subtracted.
        const Tensor none = zeros({x.size(-1)}, {acc_dtype(x.dtype()), x.device()});
        kernels::batch_norm<T>(device, upstream, none.data<A>(), rstd,
                               detail::data_or_null<A>(gamma), nullptr, as_rows<T>(dx));
      }
    });
  });
  return dx;
}

/// The gradients of x, gamma and beta.
std::array<Tensor, 3> gradients(const Tensor& x, const Factors& factors, const Moments& m,
                                const Tensor& dy, const std::array<bool, 3>& need) {
  const auto [dgamma, dbeta] = make_sums(x, factors);
  if (x.numel() > 0 && (need[1] || need[2] || m.of_batch)) {
    dispatch_floating(kPlain, x.dtype(), [&, &dgamma = dgamma, &dbeta = dbeta](auto tag) {
      using T = typename decltype(tag)::type;
      using A = Acc<T>;
      on_device(x.device(), [&](auto device) {
        kernels::batch_norm_sums<T>(device, as_rows<const T>(x), m.mean.data<A>(), m.rstd.data<A>(),
                                    as_rows<const T>(dy), dgamma.data<A>(), dbeta.data<A>());
      });
    });
  }
  Tensor dx;
  if (need[0]) dx = input_gradient(x, factors.wide_gamma(), m, dy, dgamma, dbeta, false);
  return {dx, need[1] ? cast(dgamma, factors.gamma_dtype) : Tensor(),
          need[2] ? cast(dbeta, factors.beta_dtype) : Tensor()};
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

/// The gradients of x, gamma, beta and the residual, for y = relu(normalised x + residual).
std::array<Tensor, 4> relu_gradients(const Tensor& x, const Factors& factors, const Moments& m,
                                     const Tensor& y, const Tensor& dy,
                                     const std::array<bool, 4>& need) {
  const auto [dgamma, dbeta] = make_sums(x, factors);
  const Tensor g = empty_like(x);  // the gradient of what relu took, and of the residual
  if (x.numel() > 0) {
    dispatch_floating(kRelu, x.dtype(), [&, &dgamma = dgamma, &dbeta = dbeta](auto tag) {
      using T = typename decltype(tag)::type;
      using A = Acc<T>;
      on_device(x.device(), [&](auto device) {
        kernels::batch_norm_relu_sums<T>(
            device, as_rows<const T>(x), m.mean.data<A>(), m.rstd.data<A>(), as_rows<const T>(y),
            as_rows<const T>(dy), as_rows<T>(g), dgamma.data<A>(), dbeta.data<A>());
      });
    });
  }
  Tensor dx;
  if (need[0]) dx = input_gradient(x, factors.wide_gamma(), m, g, dgamma, dbeta, !need[3]);
  return {dx, need[1] ? cast(dgamma, factors.gamma_dtype) : Tensor(),
          need[2] ? cast(dbeta, factors.beta_dtype) : Tensor(), need[3] ? g : Tensor()};
}

std::array<Tensor, 4> composed_relu(const Tensor& x, const Factors& factors, const Moments& m,
                                    const Tensor& y, const Tensor& dy) {
  const Tensor g = where(greater(y, 0), dy, zeros_like(dy));
  const auto [dx, dgamma, dbeta] = composed(x, factors, m, g);
  return {dx, dgamma, dbeta, g};
}

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                  const Tensor& running_mean, const Tensor& running_var, BatchNormOptions options) {
  check(kPlain, x, gamma, beta, running_mean, running_var, options);
  const Tensor packed = dense(x);
  Tensor y = empty_like(packed);
  Moments m;
  if (x.numel() > 0) {
    m = moments_of(packed, options, running_mean, running_var);
    const Tensor scale = wide(gamma), shift = wide(beta);
    dispatch_floating(kPlain, x.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      using A = Acc<T>;
      on_device(x.device(), [&](auto device) {
        kernels::batch_norm<T>(device, as_rows<const T>(packed), m.mean.data<A>(), m.rstd.data<A>(),
                               detail::data_or_null<A>(scale), detail::data_or_null<A>(shift),
                               as_rows<T>(y));
      });
    });
  }
  return attach_joint<3>(differentiable(kPlain), std::move(y), {&x, &gamma, &beta},
                         [x = save(x), factors = Factors(x, gamma, beta), m](
                             const Tensor& dy, const std::array<bool, 3>& need) {
                           if (is_recording()) return composed(x(), factors, m, dy);
                           return gradients(dense(x()), factors, m, dense(dy), need);
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
  const Tensor packed = dense(x), added = residual ? dense(residual) : residual;
  Tensor y = empty_like(packed);
  Moments m;
  if (x.numel() > 0) {
    m = moments_of(packed, options, running_mean, running_var);
    const Tensor scale = wide(gamma), shift = wide(beta);
    dispatch_floating(kRelu, x.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      using A = Acc<T>;
      const auto rows = as_rows<T>(y);
      const MatrixView<const T> addend{detail::data_or_null<T>(added), rows.rows, rows.cols,
                                       rows.cols};
      on_device(x.device(), [&](auto device) {
        kernels::batch_norm_relu<T>(device, as_rows<const T>(packed), m.mean.data<A>(),
                                    m.rstd.data<A>(), detail::data_or_null<A>(scale),
                                    detail::data_or_null<A>(shift), addend, rows);
      });
    });
  }
  Saved result = save_output(y);
  return attach_joint<4>(differentiable(kRelu), std::move(y), {&x, &gamma, &beta, &residual},
                         [x = save(x), y = std::move(result), factors = Factors(x, gamma, beta), m](
                             const Tensor& dy, const std::array<bool, 4>& need) {
                           if (is_recording()) return composed_relu(x(), factors, m, y(), dy);
                           return relu_gradients(dense(x()), factors, m, y(), dense(dy), need);
                         });
}

}  // namespace trireme

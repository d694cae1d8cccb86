#include "kernels/batch_norm.h"

#include "core/autograd/attach.h"
#include "core/ops/as_rows.h"
#include "core/ops/check.h"
#include "core/ops/ops.h"
#include "core/tensor/copy.h"

namespace trireme {
namespace {

/// Factors may have x's dtype, or f32 beside 16-bit x, as statistics do.
void check_per_channel(const char* what, const Tensor& t, const Tensor& x, DType also) {
  if (!t) return;
  const DType wide = acc_dtype(x.dtype());
  require(t.dtype() == wide || t.dtype() == also, "batch_norm", what, " must be ", wide,
          " for x of ", x.dtype(), ", got ", t.dtype(), "; convert with to()");
  require(t.device() == x.device(), "batch_norm", "devices differ, x is on ", x.device(), " but ",
          what, " is on ", t.device());
  require(t.shape() == Shape{x.size(-1)}, "batch_norm", what, " must be [", x.size(-1),
          "] for x of ", x.shape(), ", got ", t.shape());
}

template <typename T>
T* data_or_null(const Tensor& x) {
  return x ? x.data<T>() : nullptr;
}

/// What y and dx are computed from, [channels] each.
struct Moments {
  Tensor mean, rstd;
  bool of_batch = true;  // false: running statistics, which do not depend on x
};

/// 1 / sqrt(var + eps).
Tensor rstd_of(const Tensor& var, double eps) { return rsqrt(var + eps); }

Moments batch_moments(const Tensor& x, const BatchNormOptions& o, const Tensor& running_mean,
                      const Tensor& running_var) {
  const TensorOptions like{acc_dtype(x.dtype()), x.device()};
  const Tensor mean = empty({x.size(-1)}, like), var = empty({x.size(-1)}, like);
  dispatch_floating("batch_norm", x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(x.device(), [&](auto device) {
      kernels::column_moments<T>(device, as_rows<const T>(x), mean.data<Acc<T>>(),
                                 var.data<Acc<T>>());
    });
  });
  if (o.training && running_mean) {
    const auto rows = static_cast<double>(x.numel() / x.size(-1));
    mul_inplace(running_mean, 1 - o.momentum);
    add_inplace(running_mean, mean, o.momentum);
    mul_inplace(running_var, 1 - o.momentum);
    add_inplace(running_var, var, o.momentum * rows / (rows - 1));
  }
  return {mean, rstd_of(var, o.eps), true};
}

Moments running_moments(const Tensor& mean, const Tensor& var, double eps) {
  return {clone_detached(mean), rstd_of(var, eps), false};
}

/// A factor as the kernels read it: dense, in the dtype of statistics.
Tensor wide(const Tensor& factor) {
  return factor ? dense(cast(factor, acc_dtype(factor.dtype()))) : factor;
}

std::optional<Saved> save_optional(const Tensor& x) {
  return x ? std::optional(save(x)) : std::nullopt;
}

Tensor normalised(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Moments& m) {
  Tensor y = empty(x.shape(), {x.dtype(), x.device()});
  dispatch_floating("batch_norm", x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(x.device(), [&](auto device) {
      kernels::batch_norm<T>(device, as_rows<const T>(x), m.mean.data<Acc<T>>(),
                             m.rstd.data<Acc<T>>(), data_or_null<Acc<T>>(gamma),
                             data_or_null<Acc<T>>(beta), as_rows<T>(y));
    });
  });
  return y;
}

/// gamma, and the gradients of gamma and beta, in the dtype of statistics.
std::array<Tensor, 3> gradients(const Tensor& x, const Tensor& gamma, const Moments& m,
                                const Tensor& dy, const std::array<bool, 3>& need) {
  const TensorOptions like{acc_dtype(x.dtype()), x.device()};
  if (x.numel() == 0) return {empty_like(x), zeros({x.size(-1)}, like), zeros({x.size(-1)}, like)};
  const Tensor dgamma = empty({x.size(-1)}, like), dbeta = empty({x.size(-1)}, like);
  Tensor dx = need[0] ? empty_like(x) : Tensor();
  dispatch_floating("batch_norm", x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using A = Acc<T>;
    on_device(x.device(), [&](auto device) {
      const auto rows = as_rows<const T>(x), upstream = as_rows<const T>(dy);
      const A *mean = m.mean.data<A>(), *rstd = m.rstd.data<A>();
      if (need[1] || need[2] || m.of_batch) {
        kernels::batch_norm_sums<T>(device, rows, mean, rstd, upstream, dgamma.data<A>(),
                                    dbeta.data<A>());
      }
      if (need[0] && m.of_batch) {
        kernels::batch_norm_input_gradient<T>(device, rows, mean, rstd, data_or_null<A>(gamma),
                                              dgamma.data<A>(), dbeta.data<A>(), upstream,
                                              as_rows<T>(dx));
      } else if (need[0]) {
        // y is linear in x: the same factors, nothing subtracted.
        const Tensor none = zeros({x.size(-1)}, like);
        kernels::batch_norm<T>(device, upstream, none.data<A>(), rstd, data_or_null<A>(gamma),
                               nullptr, as_rows<T>(dx));
      }
    });
  });
  return {dx, need[1] ? dgamma : Tensor(), need[2] ? dbeta : Tensor()};
}

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                  const Tensor& running_mean, const Tensor& running_var, BatchNormOptions options) {
  const char* op = "batch_norm";
  detail::check_defined(op, {{"x", &x}});
  require(x.rank() >= 2 && x.size(-1) > 0 && is_floating(x.dtype()), op,
          "x must be floating [batch, .., channels], got ", x.dtype(), x.shape());
  check_per_channel("gamma", gamma, x, x.dtype());
  check_per_channel("beta", beta, x, x.dtype());
  check_per_channel("running_mean", running_mean, x, acc_dtype(x.dtype()));
  check_per_channel("running_var", running_var, x, acc_dtype(x.dtype()));
  require(running_mean.defined() == running_var.defined(), op,
          "running_mean and running_var must be given together");
  const bool of_batch = options.training || !running_mean;
  require(!of_batch || x.numel() != x.size(-1), op,
          "needs more than one value per channel in training, got ", x.shape());
  const Tensor packed = dense(x);
  Moments moments;
  Tensor y;
  if (x.numel() > 0) {
    // The statistics have no history of their own: the formula accounts for them.
    const NoGrad no_grad;
    moments = of_batch ? batch_moments(packed, options, running_mean, running_var)
                       : running_moments(running_mean, running_var, options.eps);
    y = normalised(packed, wide(gamma), wide(beta), moments);
  } else {
    y = empty_like(packed);
  }
  const DType factor = gamma ? gamma.dtype() : x.dtype(), shift = beta ? beta.dtype() : x.dtype();
  return attach_joint<3>("batch_norm", std::move(y), {&x, &gamma, &beta},
                         [x = save(x), gamma = save_optional(gamma), moments, factor, shift](
                             const Tensor& dy, const std::array<bool, 3>& need) {
                           auto d = gradients(dense(x()), gamma ? wide((*gamma)()) : Tensor(),
                                              moments, dense(dy), need);
                           if (d[1]) d[1] = cast(d[1], factor);
                           if (d[2]) d[2] = cast(d[2], shift);
                           return d;
                         });
}

}  // namespace trireme

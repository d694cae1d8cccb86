#include "kernels/residual_layer_norm.h"

#include "core/autograd/attach.h"
#include "core/autograd/gradient_home.h"
#include "core/ops/as_rows.h"
#include "core/ops/autocast.h"
#include "core/ops/check.h"
#include "core/ops/norm_factor.h"
#include "core/ops/ops.h"

namespace trireme {
namespace {

/// The two ops of this file, which differ in whether a mean is subtracted.
struct Norm {
  const char* op;
  bool has_mean;
};
constexpr Norm kLayerNorm{"residual_layer_norm", true}, kRmsNorm{"residual_rms_norm", false};

template <typename T>
MatrixView<T> rows_or_null(const Tensor& x) {
  return x.defined() ? as_rows<T>(x) : MatrixView<T>{nullptr, 0, 0, 0};
}

std::optional<Saved> saved_if_defined(const Tensor& x) {
  return x ? std::optional(save(x)) : std::nullopt;
}
Tensor dense_or_undefined(const Tensor& x) { return x ? dense(x) : x; }

/// Calls fn(TypeTag<Low>) where x is of 16 bits beside an f32 sum.
template <typename Fn>
void kernels_between(DType low, const Fn& fn) {
  if (low == DType::kBF16) return fn(TypeTag<BFloat16>{});
  fn(TypeTag<Float16>{});
}

/// The node of the sum, with the op's inputs: x, residual, gamma, beta. The gradient of the
/// normalised result does not come as dy but through hand_over, so that one kernel sees both.
class SumNode final : public Node {
 public:
  /// mean: undefined where the norm has none.
  SumNode(const char* op, const Tensor& sum, const std::array<const Tensor*, 4>& inputs,
          const Tensor& mean, const Tensor& rstd)
      : Node(op, sum, edges_.data(), 4),
        kept_(Kept{save_output(sum), saved_if_defined(*inputs[2]), saved_if_defined(mean),
                   save(rstd)}),
        x_dtype_(inputs[0]->dtype()) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (*inputs[i] && inputs[i]->requires_grad()) edges_[i] = edge_to(*inputs[i]);
    }
  }

  void hand_over(const Tensor& dy) { dy_ = dense(dy); }
  bool has_other_gradient() const override { return dy_.defined(); }

  void apply(const Tensor& dsum, Tensor* dx) override {
    const Tensor dy = std::exchange(dy_, Tensor());
    if (dy.defined()) {
      through_norm(dy, dsum, dx);
    } else {
      dx[0] = cast(dsum, x_dtype_);
      dx[1] = dsum;
    }
    for (size_t i : {0, 1}) {
      if (!edges_[i]) dx[i] = Tensor();
    }
  }
  void release_saved() override {
    kept_.reset();
    dy_ = Tensor();
  }

 private:
  struct Kept {
    Saved sum;
    std::optional<Saved> gamma, mean;
    Saved rstd;
  };

  /// All four gradients, from those of both results.
  void through_norm(const Tensor& dy, const Tensor& dsum, Tensor* dx) {
    const Tensor sum = kept_->sum(), rstd = kept_->rstd();
    const Tensor gamma = kept_->gamma ? dense((*kept_->gamma)()) : Tensor();
    const Tensor mean = kept_->mean ? (*kept_->mean)() : Tensor();
    const Tensor carried = dsum.defined() ? dense(dsum) : dsum;
    const TensorOptions options{sum.dtype(), sum.device()};
    dx[1] = empty(sum.shape(), options);
    const bool between = x_dtype_ != sum.dtype();
    dx[0] = between ? empty(sum.shape(), {x_dtype_, sum.device()}) : dx[1];
    for (size_t i : {2, 3}) {
      if (edges_[i]) dx[i] = GradientHome(*edges_[i]).empty({sum.size(-1)}, options);
    }
    if (between) {
      kernels_between(x_dtype_, [&](auto tag) {
        using Low = typename decltype(tag)::type;
        on_device(sum.device(), [&](auto device) {
          kernels::residual_layer_norm_between_backward<Low>(
              device, as_rows<const float>(sum), detail::data_or_null<float>(gamma),
              detail::data_or_null<float>(mean), rstd.data<float>(), as_rows<const Low>(dy),
              rows_or_null<const float>(carried), as_rows<float>(dx[1]), as_rows<Low>(dx[0]),
              detail::data_or_null<float>(dx[2]), detail::data_or_null<float>(dx[3]));
        });
      });
      return;
    }
    dispatch_floating(name(), sum.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      on_device(sum.device(), [&](auto device) {
        kernels::residual_layer_norm_backward<T>(
            device, as_rows<const T>(sum), detail::data_or_null<T>(gamma),
            detail::data_or_null<Acc<T>>(mean), rstd.data<Acc<T>>(), as_rows<const T>(dy),
            rows_or_null<const T>(carried), as_rows<T>(dx[1]), detail::data_or_null<T>(dx[2]),
            detail::data_or_null<T>(dx[3]));
      });
    });
  }

  std::array<Ref<Node>, 4> edges_;
  std::optional<Kept> kept_;
  DType x_dtype_;  // that of the sum, or 16 bits beside f32
  Tensor dy_;
};

/// The node of the normalised result: hands its gradient over to the sum's, which runs later.
class NormalisedNode final : public Node {
 public:
  NormalisedNode(const char* op, const Tensor& y, Ref<SumNode> sum)
      : Node(op, y, edges_.data(), 1), edges_{Ref<Node>(sum)} {}

  void apply(const Tensor& dy, Tensor* /*dx*/) override {
    static_cast<SumNode*>(edges_[0].get())->hand_over(dy);
  }
  void release_saved() override {}

 private:
  std::array<Ref<Node>, 1> edges_;
};

/// x and residual of one dtype, or x of 16 bits beside f32; y is of x's dtype, sum of residual's.
NormalisedSum computed(const Norm& norm, const Tensor& x, const Tensor& residual,
                       const Tensor& gamma, const Tensor& beta, double eps) {
  const char* op = norm.op;
  require(x.rank() >= 1 && x.shape() == residual.shape(), op,
          "x and residual must both be [.., features], got ", x.shape(), " and ", residual.shape());
  require(x.device() == residual.device(), op, "x and residual must agree, x is on ", x.device(),
          " but residual is on ", residual.device());
  detail::check_norm_factor(op, "gamma", gamma, residual);
  detail::check_norm_factor(op, "beta", beta, residual);
  detail::check_eps(op, eps);
  const Tensor a = dense(x), b = dense(residual);
  const Tensor scale = dense_or_undefined(gamma), shift = dense_or_undefined(beta);
  const TensorOptions options{residual.dtype(), x.device()};
  NormalisedSum result{empty(x.shape(), options), empty(x.shape(), {x.dtype(), x.device()})};
  Shape rows = x.shape();
  rows.erase(rows.rank() - 1);
  const TensorOptions statistics{acc_dtype(x.dtype()), x.device()};
  const Tensor mean = norm.has_mean ? empty(rows, statistics) : Tensor();
  const Tensor rstd = empty(rows, statistics);
  if (x.dtype() != residual.dtype()) {
    kernels_between(x.dtype(), [&](auto tag) {
      using Low = typename decltype(tag)::type;
      on_device(x.device(), [&](auto device) {
        kernels::residual_layer_norm_between<Low>(
            device, as_rows<const Low>(a), as_rows<const float>(b),
            detail::data_or_null<float>(scale), detail::data_or_null<float>(shift), eps,
            as_rows<float>(result.sum), as_rows<Low>(result.y), detail::data_or_null<float>(mean),
            rstd.data<float>());
      });
    });
  } else {
    dispatch_floating(op, x.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      on_device(x.device(), [&](auto device) {
        kernels::residual_layer_norm<T>(
            device, as_rows<const T>(a), as_rows<const T>(b), detail::data_or_null<T>(scale),
            detail::data_or_null<T>(shift), eps, as_rows<T>(result.sum), as_rows<T>(result.y),
            detail::data_or_null<Acc<T>>(mean), rstd.data<Acc<T>>());
      });
    });
  }
  const std::array<const Tensor*, 4> inputs{&x, &residual, &gamma, &beta};
  const bool needs_grad = std::any_of(inputs.begin(), inputs.end(),
                                      [](const Tensor* t) { return *t && t->requires_grad(); });
  if (!is_recording() || !needs_grad) return result;
  const auto node = make_ref<SumNode>(op, result.sum, inputs, mean, rstd);
  result.sum.set_autograd_meta(node);
  result.y.set_autograd_meta(make_ref<NormalisedNode>(op, result.y, node));
  return result;
}

/// All of it in f32, and y rounded for the product behind it. The operand that a product gave is
/// read as it is, beside the residual stream in f32.
NormalisedSum under_autocast(const Norm& norm, const std::array<const Tensor*, 4>& in, double eps) {
  const DType low = detail::autocast_state.dtype;
  const auto wide = [](const Tensor& x) { return x ? to(x, DType::kF32) : x; };
  const Tensor &x = *in[0], &residual = *in[1], gamma = wide(*in[2]), beta = wide(*in[3]);
  NormalisedSum result;
  if (x.dtype() == low) {
    result = computed(norm, x, wide(residual), gamma, beta, eps);
  } else if (residual.dtype() == low) {
    result = computed(norm, residual, wide(x), gamma, beta, eps);
  } else {
    result = computed(norm, wide(x), wide(residual), gamma, beta, eps);
  }
  result.y = to(result.y, low);
  return result;
}

NormalisedSum normalised_sum(const Norm& norm, const Tensor& x, const Tensor& residual,
                             const Tensor& gamma, const Tensor& beta, double eps) {
  detail::check_defined(norm.op, {{"x", &x}, {"residual", &residual}});
  const std::array<const Tensor*, 4> in{&x, &residual, &gamma, &beta};
  if (detail::autocast_state.is_on() && std::ranges::all_of(in, [](const Tensor* t) {
        return !*t || (is_floating(t->dtype()) && t->dtype() != DType::kF64);
      })) {
    return under_autocast(norm, in, eps);
  }
  require(x.dtype() == residual.dtype(), norm.op, "x and residual must agree, x is ", x.dtype(),
          " but residual is ", residual.dtype());
  return computed(norm, x, residual, gamma, beta, eps);
}

}  // namespace

NormalisedSum residual_layer_norm(const Tensor& x, const Tensor& residual, const Tensor& gamma,
                                  const Tensor& beta, double eps) {
  return normalised_sum(kLayerNorm, x, residual, gamma, beta, eps);
}

NormalisedSum residual_rms_norm(const Tensor& x, const Tensor& residual, const Tensor& gamma,
                                double eps) {
  return normalised_sum(kRmsNorm, x, residual, gamma, Tensor(), eps);
}

}  // namespace trireme

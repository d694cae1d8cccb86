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

/// The node of the sum, with the op's inputs: x, residual, gamma, beta. The gradient of the
/// normalised result does not come as dy but through hand_over, so that one kernel sees both.
class SumNode final : public Node {
 public:
  SumNode(const Tensor& sum, const std::array<const Tensor*, 4>& inputs, Saved saved_sum,
          Saved gamma, Saved mean, Saved rstd)
      : Node("residual_layer_norm", sum, edges_.data(), 4),
        kept_(Kept{std::move(saved_sum), std::move(gamma), std::move(mean), std::move(rstd)}) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i]->requires_grad()) edges_[i] = edge_to(*inputs[i]);
    }
  }

  void hand_over(const Tensor& dy) { dy_ = dense(dy); }
  bool has_other_gradient() const override { return dy_.defined(); }

  void apply(const Tensor& dsum, Tensor* dx) override {
    const Tensor dy = std::exchange(dy_, Tensor());
    Tensor d = dsum;
    if (dy.defined()) d = through_norm(dy, dsum, dx);
    if (edges_[0]) dx[0] = d;
    if (edges_[1]) dx[1] = d;
  }
  void release_saved() override {
    kept_.reset();
    dy_ = Tensor();
  }

 private:
  struct Kept {
    Saved sum, gamma, mean, rstd;
  };

  Tensor through_norm(const Tensor& dy, const Tensor& dsum, Tensor* dx) {
    const Tensor sum = kept_->sum(), gamma = dense(kept_->gamma());
    const Tensor &mean = kept_->mean(), &rstd = kept_->rstd();
    const Tensor carried = dsum.defined() ? dense(dsum) : dsum;
    const TensorOptions options{sum.dtype(), sum.device()};
    Tensor d = empty(sum.shape(), options);
    for (size_t i : {2, 3}) {
      if (edges_[i]) dx[i] = GradientHome(*edges_[i]).empty({sum.size(-1)}, options);
    }
    dispatch_floating("residual_layer_norm", sum.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      MatrixView<const T> dsum_rows{nullptr, 0, 0, 0};
      if (carried.defined()) dsum_rows = as_rows<const T>(carried);
      on_device(sum.device(), [&](auto device) {
        kernels::residual_layer_norm_backward<T>(
            device, as_rows<const T>(sum), gamma.data<T>(), mean.data<Acc<T>>(),
            rstd.data<Acc<T>>(), as_rows<const T>(dy), dsum_rows, as_rows<T>(d),
            edges_[2] ? dx[2].data<T>() : nullptr, edges_[3] ? dx[3].data<T>() : nullptr);
      });
    });
    return d;
  }

  std::array<Ref<Node>, 4> edges_;
  std::optional<Kept> kept_;
  Tensor dy_;
};

/// The node of the normalised result: hands its gradient over to the sum's, which runs later.
class NormalisedNode final : public Node {
 public:
  NormalisedNode(const Tensor& y, Ref<SumNode> sum)
      : Node("residual_layer_norm", y, edges_.data(), 1), edges_{Ref<Node>(sum)} {}

  void apply(const Tensor& dy, Tensor* /*dx*/) override {
    static_cast<SumNode*>(edges_[0].get())->hand_over(dy);
  }
  void release_saved() override {}

 private:
  std::array<Ref<Node>, 1> edges_;
};

}  // namespace

NormalisedSum residual_layer_norm(const Tensor& x, const Tensor& residual, const Tensor& gamma,
                                  const Tensor& beta, double eps) {
  detail::check_defined("residual_layer_norm",
                        {{"x", &x}, {"residual", &residual}, {"gamma", &gamma}, {"beta", &beta}});
  if (const auto in = detail::autocast<"residual_layer_norm">(x, residual, gamma, beta)) {
    return residual_layer_norm(in[0], in[1], in[2], in[3], eps);
  }
  require(x.rank() >= 1 && x.shape() == residual.shape(), "residual_layer_norm",
          "x and residual must both be [.., features], got ", x.shape(), " and ", residual.shape());
  require(x.dtype() == residual.dtype() && x.device() == residual.device(), "residual_layer_norm",
          "x and residual must agree, x is ", x.dtype(), " on ", x.device(), " but residual is ",
          residual.dtype(), " on ", residual.device());
  detail::check_norm_factor("residual_layer_norm", "gamma", gamma, x);
  detail::check_norm_factor("residual_layer_norm", "beta", beta, x);
  const Tensor a = dense(x), b = dense(residual), scale = dense(gamma), shift = dense(beta);
  const TensorOptions options{x.dtype(), x.device()};
  NormalisedSum result{empty(x.shape(), options), empty(x.shape(), options)};
  Shape rows = x.shape();
  rows.erase(rows.rank() - 1);
  const TensorOptions statistics{acc_dtype(x.dtype()), x.device()};
  const Tensor mean = empty(rows, statistics), rstd = empty(rows, statistics);
  dispatch_floating("residual_layer_norm", x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(x.device(), [&](auto device) {
      kernels::residual_layer_norm<T>(
          device, as_rows<const T>(a), as_rows<const T>(b), scale.data<T>(), shift.data<T>(), eps,
          as_rows<T>(result.sum), as_rows<T>(result.y), mean.data<Acc<T>>(), rstd.data<Acc<T>>());
    });
  });
  const std::array<const Tensor*, 4> inputs{&x, &residual, &gamma, &beta};
  const bool needs_grad =
      std::any_of(inputs.begin(), inputs.end(), [](const Tensor* t) { return t->requires_grad(); });
  if (!is_recording() || !needs_grad) return result;
  const auto node = make_ref<SumNode>(result.sum, inputs, save_output(result.sum), save(gamma),
                                      save(mean), save(rstd));
  result.sum.set_autograd_meta(node);
  result.y.set_autograd_meta(make_ref<NormalisedNode>(result.y, node));
  return result;
}

}  // namespace trireme

#include "core/autograd/attach.h"
#include "core/ops/autocast.h"
#include "core/ops/check.h"
#include "core/ops/linear_parts.h"
#include "core/ops/ops.h"
#include "kernels/matmul_gelu.h"

namespace trireme {
namespace {

constexpr const char* kOp = "feed_forward";

/// What backward needs of the layer in the middle: [.., hidden] before and after gelu.
struct Hidden {
  Tensor before, after;
};

Hidden hidden_layer(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  Shape shape = x.shape();
  shape.back() = weight.size(1);
  const TensorOptions like{x.dtype(), x.device()};
  Hidden h{empty(shape, like), empty(shape, like)};
  const Tensor rows = detail::flat(x), shift = dense(bias);
  dispatch_floating(kOp, x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(x.device(), [&](auto device) {
      kernels::matmul_gelu(device, as_matrix<const T>(rows), as_view<const T>(weight),
                           shift.data<T>(), as_rows<T>(h.before), as_rows<T>(h.after));
    });
  });
  return h;
}

/// The gradients of what gelu took, like `before`, and of the bias in front of it, from dy of the
/// second layer.
std::pair<Tensor, Tensor> hidden_gradients(const Tensor& dy, const Tensor& weight,
                                           const Tensor& before, const GradientHome& home) {
  Tensor d = empty_like(before), dbias = home.empty({before.size(-1)}, {dy.dtype(), dy.device()});
  const Tensor rows = detail::flat(dy);
  dispatch_floating(kOp, dy.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(dy.device(), [&](auto device) {
      kernels::matmul_gelu_backward(device, as_matrix<const T>(rows),
                                    transposed(as_view<const T>(weight)), as_rows<const T>(before),
                                    as_rows<T>(d), dbias.data<T>());
    });
  });
  return {d, dbias};
}

}  // namespace

Tensor feed_forward(const Tensor& x, const Tensor& weight1, const Tensor& bias1,
                    const Tensor& weight2, const Tensor& bias2) {
  if (const auto in = detail::autocast<"feed_forward">(x, weight1, bias1, weight2, bias2))
    return feed_forward(in[0], in[1], in[2], in[3], in[4]);
  detail::check_defined(kOp,
                        {{"x", &x}, {"bias1", &bias1}, {"weight2", &weight2}, {"bias2", &bias2}});
  detail::check_linear(kOp, x, weight1, bias1);
  require(weight2.rank() == 2 && weight2.size(0) == weight1.size(1), kOp, "weight2 must be [",
          weight1.size(1), ", out] behind a weight1 of ", weight1.shape(), ", got ",
          weight2.shape());
  require(weight2.dtype() == x.dtype(), kOp, "weight2 must be ", x.dtype(), " as x is, got ",
          weight2.dtype(), "; convert with to()");
  require(bias2.shape() == Shape{weight2.size(1)} && bias2.dtype() == x.dtype(), kOp,
          "bias2 must be ", x.dtype(), "[", weight2.size(1), "], got ", bias2.dtype(),
          bias2.shape());
  const Hidden h = hidden_layer(x, weight1, bias1);
  return attach_joint<5>(
      kOp, detail::linear_result(h.after, weight2, bias2), {&x, &weight1, &bias1, &weight2, &bias2},
      [x = save(x), weight1 = save(weight1), weight2 = save(weight2), before = save(h.before),
       after = save(h.after),
       home = std::array{GradientHome(weight1), GradientHome(bias1), GradientHome(weight2),
                         GradientHome(bias2)}](const Tensor& dy, const std::array<bool, 5>& need) {
        std::array<Tensor, 5> d;
        if (need[4]) d[4] = detail::linear_bias_gradient(dy, home[3]);
        if (need[3]) d[3] = detail::linear_weight_gradient(after(), dy, home[2]);
        if (!need[0] && !need[1] && !need[2]) return d;
        const auto [inner, dbias1] = hidden_gradients(dy, weight2(), before(), home[1]);
        d[2] = dbias1;
        if (need[1]) d[1] = detail::linear_weight_gradient(x(), inner, home[0]);
        if (need[0]) d[0] = detail::linear_input_gradient(inner, weight1(), x().shape());
        return d;
      });
}

}  // namespace trireme

#include "core/autograd/attach.h"
#include "core/autograd/gradient_home.h"
#include "core/ops/autocast.h"
#include "core/ops/check.h"
#include "core/ops/linear_parts.h"
#include "core/ops/ops.h"
#include "kernels/matmul.h"

namespace trireme {
namespace detail {

Tensor linear_result(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  Shape shape = x.shape();
  shape.back() = weight.size(1);
  Tensor y = empty(shape, {x.dtype(), x.device()});
  const Tensor rows = flat(x), shift = bias ? dense(bias) : bias;
  dispatch_floating("linear", x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(x.device(), [&](auto device) {
      kernels::matmul(device, as_matrix<const T>(rows), as_view<const T>(weight), as_matrix<T>(y),
                      shift ? shift.data<T>() : nullptr);
    });
  });
  return y;
}

Tensor linear_input_gradient(const Tensor& dy, const Tensor& weight, const Shape& shape) {
  Tensor dx = empty(shape, {dy.dtype(), dy.device()});
  const Tensor rows = flat(dy);
  dispatch_floating("linear", dy.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(dy.device(), [&](auto device) {
      kernels::matmul(device, as_matrix<const T>(rows), transposed(as_view<const T>(weight)),
                      as_matrix<T>(dx));
    });
  });
  return dx;
}

Tensor linear_weight_gradient(const Tensor& x, const Tensor& dy, const GradientHome& home) {
  Tensor dweight = home.empty({x.size(-1), dy.size(-1)}, {dy.dtype(), dy.device()});
  const Tensor rows = flat(x), drows = flat(dy);
  dispatch_floating("linear", dy.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(dy.device(), [&](auto device) {
      kernels::matmul(device, transposed(as_matrix<const T>(rows)), as_matrix<const T>(drows),
                      as_view<T>(dweight));
    });
  });
  return dweight;
}

Tensor linear_bias_gradient(const Tensor& dy, const GradientHome& home) {
  Tensor dbias = home.empty({dy.size(-1)}, {dy.dtype(), dy.device()});
  const Tensor rows = dense(dy);
  dispatch_floating("linear", dy.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(dy.device(), [&](auto device) {
      kernels::column_sums(device, as_rows<const T>(rows), dbias.data<T>());
    });
  });
  return dbias;
}

void check_linear(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias) {
  detail::check_defined(op, {{"x", &x}, {"weight", &weight}});
  require(weight.rank() == 2, op, "weight must be [in, out], got ", weight.shape());
  require(x.rank() >= 1 && x.size(-1) == weight.size(0), op, "x must be [.., ", weight.size(0),
          "] for a weight of ", weight.shape(), ", got ", x.shape());
  require(x.dtype() == weight.dtype() && x.device() == weight.device(), op,
          "x and weight must agree, x is ", x.dtype(), " on ", x.device(), " but weight is ",
          weight.dtype(), " on ", weight.device());
  if (!bias) return;
  require(bias.shape() == Shape{weight.size(1)}, op, "bias must be [", weight.size(1),
          "] for a weight of ", weight.shape(), ", got ", bias.shape());
  require(bias.dtype() == weight.dtype() && bias.device() == weight.device(), op,
          "bias and weight must agree, bias is ", bias.dtype(), " on ", bias.device(),
          " but weight is ", weight.dtype(), " on ", weight.device());
}

}  // namespace detail

namespace {

/// [.., n] as [rows, n], with history. Not with -1: an extent may be 0.
Tensor as_matrix_of_rows(const Tensor& x) {
  int64_t rows = 1;
  for (int d = 0; d + 1 < x.rank(); ++d) rows *= x.shape()[d];
  return reshape(x, {rows, x.size(-1)});
}

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  if (const auto in = detail::autocast<"linear">(x, weight, bias))
    return linear(in[0], in[1], in[2]);
  detail::check_linear("linear", x, weight, bias);
  Tensor y = detail::linear_result(x, weight, bias);
  auto dx = wrt(x, [weight = save(weight), shape = x.shape()](const Tensor& dy) {
    if (is_recording()) return linear(dy, transpose(weight(), 0, 1));
    return detail::linear_input_gradient(dy, weight(), shape);
  });
  auto dweight = wrt(weight, [x = save(x), home = GradientHome(weight)](const Tensor& dy) {
    if (is_recording())
      return matmul(transpose(as_matrix_of_rows(x()), 0, 1), as_matrix_of_rows(dy));
    return detail::linear_weight_gradient(x(), dy, home);
  });
  if (!bias)
    return attach(differentiable("linear"), std::move(y), std::move(dx), std::move(dweight));
  return attach(differentiable("linear"), std::move(y), std::move(dx), std::move(dweight),
                wrt(bias, [home = GradientHome(bias)](const Tensor& dy) {
                  if (is_recording()) return sum_to(dy, {dy.size(-1)});
                  return detail::linear_bias_gradient(dy, home);
                }));
}

}  // namespace trireme

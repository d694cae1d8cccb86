#include "kernels/conv2d.h"

#include "core/autograd/attach.h"
#include "core/autograd/gradient_home.h"
#include "core/ops/as_rows.h"
#include "core/ops/autocast.h"
#include "core/ops/check.h"
#include "core/ops/ops.h"
#include "kernels/matmul.h"

namespace trireme {
namespace {

using kernels::Conv2dGeometry;

Conv2dGeometry geometry_of(const Tensor& x, const Tensor& weight, const Conv2dOptions& o) {
  return {.batch = x.size(0),
          .height = x.size(1),
          .width = x.size(2),
          .in_channels = x.size(3),
          .out_channels = weight.size(0),
          .kernel_h = weight.size(1),
          .kernel_w = weight.size(2),
          .stride_h = o.stride[0],
          .stride_w = o.stride[1],
          .pad_h = o.padding[0],
          .pad_w = o.padding[1],
          .dilation_h = o.dilation[0],
          .dilation_w = o.dilation[1],
          .groups = o.groups};
}

void check(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& o) {
  const char* op = "conv2d";
  detail::check_defined(op, {{"x", &x}, {"weight", &weight}});
  detail::check_operands(op, x, weight);
  require(x.rank() == 4, op, "x must be [batch, height, width, channels], got ", x.shape());
  require(weight.rank() == 4 && weight.numel() > 0, op,
          "weight must be [out, kernel height, kernel width, in / groups], got ", weight.shape());
  require(o.groups >= 1 && x.size(3) == weight.size(3) * o.groups && weight.size(0) % o.groups == 0,
          op, "channels of x ", x.shape(), " must be those of weight ", weight.shape(), " times ",
          o.groups, " groups, and the groups must divide the output channels");
  for (int i = 0; i < 2; ++i) {
    require(o.stride[i] >= 1 && o.dilation[i] >= 1 && o.padding[i] >= 0, op,
            "stride and dilation must be at least 1 and padding at least 0, got ", o.stride[i],
            ", ", o.dilation[i], " and ", o.padding[i]);
    require(x.size(1 + i) >= 1 &&
                o.dilation[i] * (weight.size(1 + i) - 1) < x.size(1 + i) + 2 * o.padding[i],
            op, "the kernel of ", weight.shape(), " with dilation ", o.dilation[i],
            " must fit into x ", x.shape(), " padded by ", o.padding[i]);
  }
  if (!bias) return;
  detail::check_operands(op, x, bias);
  require(bias.shape() == Shape{weight.size(0)}, op, "bias must be [", weight.size(0),
          "] for a weight of ", weight.shape(), ", got ", bias.shape());
}

/// Calls fn(device, type tag) unless there is nothing to compute; then out is filled with zeros.
template <typename Fn>
void run(const Conv2dGeometry& g, const Tensor& out, const Fn& fn) {
  if (g.batch == 0) return fill_inplace(out, 0);
  dispatch_floating("conv2d", out.dtype(), [&](auto tag) {
    on_device(out.device(), [&](auto device) { fn(device, tag); });
  });
}

Tensor bias_gradient(const Tensor& dy, const GradientHome& home) {
  Tensor dbias = home.empty({dy.size(-1)}, {dy.dtype(), dy.device()});
  dispatch_floating("conv2d", dy.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(dy.device(), [&](auto device) {
      kernels::column_sums(device, as_rows<const T>(dy), dbias.data<T>());
    });
  });
  return dbias;
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, Conv2dOptions options) {
  if (const auto in = detail::autocast<"conv2d">(x, weight, bias))
    return conv2d(in[0], in[1], in[2], options);
  check(x, weight, bias, options);
  const Conv2dGeometry g = geometry_of(x, weight, options);
  Tensor y =
      empty({g.batch, g.out_height(), g.out_width(), g.out_channels}, {x.dtype(), x.device()});
  const Tensor image = dense(x), filter = dense(weight), shift = bias ? dense(bias) : bias;
  run(g, y, [&](auto device, auto tag) {
    using T = typename decltype(tag)::type;
    kernels::conv2d(device, g, image.data<T>(), filter.data<T>(), shift ? shift.data<T>() : nullptr,
                    y.data<T>());
  });
  return attach_joint<3>(
      "conv2d", std::move(y), {&x, &weight, &bias},
      [g, x = save(x), weight = save(weight), dweight = GradientHome(weight),
       dbias = GradientHome(bias)](const Tensor& dy, const std::array<bool, 3>& need) {
        const Tensor upstream = dense(dy);
        const TensorOptions like{dy.dtype(), dy.device()};
        std::array<Tensor, 3> d;
        if (need[0]) {
          d[0] = empty(x().shape(), like);
          const Tensor taps = dense(weight());
          run(g, d[0], [&](auto device, auto tag) {
            using T = typename decltype(tag)::type;
            kernels::conv2d_input_gradient(device, g, upstream.data<T>(), taps.data<T>(),
                                           d[0].template data<T>());
          });
        }
        if (need[1]) {
          d[1] = dweight.empty(weight().shape(), like);
          const Tensor input = dense(x());
          run(g, d[1], [&](auto device, auto tag) {
            using T = typename decltype(tag)::type;
            kernels::conv2d_weight_gradient(device, g, input.data<T>(), upstream.data<T>(),
                                            d[1].template data<T>());
          });
        }
        if (need[2]) d[2] = bias_gradient(upstream, dbias);
        return d;
      });
}

}  // namespace trireme

#include "kernels/conv2d.h"

#include "core/autograd/attach.h"
#include "core/autograd/gradient_home.h"
#include "core/ops/as_rows.h"
#include "core/ops/autocast.h"
#include "core/ops/conv2d_geometry.h"
#include "core/ops/ops.h"
#include "kernels/matmul.h"

namespace trireme {
namespace {

using detail::conv2d_geometry;
using kernels::Conv2dGeometry;

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
  detail::check_conv2d(x, weight, bias, options);
  const Conv2dGeometry g = conv2d_geometry(x, weight, options);
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

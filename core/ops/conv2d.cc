// Convolution of images and sequences.

#include "core/ops/autocast.h"
#include "core/ops/convolution_parts.h"
#include "core/ops/ops.h"

namespace trireme {
namespace {

Tensor conv(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
            const detail::WindowOptions& o) {
  detail::check_windows(op, x, weight,
                        o.dims() == 2 ? "[out, kernel height, kernel width, in / groups]"
                                      : "[out, kernel, in / groups]",
                        o);
  require(x.size(-1) == weight.size(-1) * o.groups && weight.size(0) % o.groups == 0, op,
          "channels of x ", x.shape(), " must be those of weight ", weight.shape(), " times ",
          o.groups, " groups, and the groups must divide the output channels");
  for (int i = 0; i < o.dims(); ++i) {
    const int64_t dilation = o.dilation[static_cast<size_t>(i)];
    const int64_t padding = o.padding[static_cast<size_t>(i)];
    require(dilation * (weight.size(1 + i) - 1) < x.size(1 + i) + 2 * padding, op, "the kernel of ",
            weight.shape(), " with dilation ", dilation, " must fit into x ", x.shape(),
            " padded by ", padding);
  }
  detail::check_conv_bias(op, bias, weight.size(0), weight);
  return detail::convolve(detail::geometry_of(x.shape(), weight, o), x, weight, bias);
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, Conv2dOptions options) {
  if (const auto in = detail::autocast<"conv2d">(x, weight, bias))
    return conv2d(in[0], in[1], in[2], options);
  return conv("conv2d", x, weight, bias,
              {options.stride, options.padding, options.dilation, options.groups});
}

Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, Conv1dOptions options) {
  if (const auto in = detail::autocast<"conv1d">(x, weight, bias))
    return conv1d(in[0], in[1], in[2], options);
  return conv(
      "conv1d", x, weight, bias,
      {{&options.stride, 1}, {&options.padding, 1}, {&options.dilation, 1}, options.groups});
}

}  // namespace trireme

// Transposed convolution of images and sequences: the gradient of conv2d's input, as an op.

#include "core/ops/autocast.h"
#include "core/ops/convolution_parts.h"
#include "core/ops/ops.h"

namespace trireme {
namespace {

template <typename Options>
Tensor conv_transpose(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const Options& options) {
  const detail::WindowOptions o = detail::windows_of(options);
  const auto output_padding = detail::entries(options.output_padding);
  detail::check_windows(op, x, weight,
                        o.dims() == 2 ? "[in, kernel height, kernel width, out / groups]"
                                      : "[in, kernel, out / groups]",
                        o);
  detail::check_output_padding(op, output_padding, o);
  require(x.size(-1) == weight.size(0) && weight.size(0) % o.groups == 0, op, "channels of x ",
          x.shape(), " must be the first extent of weight ", weight.shape(), ", which the ",
          o.groups, " groups must divide");
  Shape image = x.shape();
  image.back() = weight.size(-1) * o.groups;
  for (int i = 0; i < o.dims(); ++i) {
    const auto at = static_cast<size_t>(i);
    int64_t& extent = image[1 + i];
    extent = (extent - 1) * o.stride[at] - 2 * o.padding[at] +
             o.dilation[at] * (weight.size(1 + i) - 1) + output_padding[at] + 1;
    require(extent >= 1, op, "nothing is left of x ", x.shape(), " with a weight of ",
            weight.shape(), " when padding ", o.padding[at], " is cut off on both sides");
  }
  detail::check_conv_bias(op, bias, image.back(), weight);
  return detail::convolve_transposed(detail::geometry_of(image, weight, o), x, weight, bias);
}

}  // namespace

Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        ConvTranspose2dOptions options) {
  if (const auto in = detail::autocast<"conv_transpose2d">(x, weight, bias))
    return conv_transpose2d(in[0], in[1], in[2], options);
  return conv_transpose("conv_transpose2d", x, weight, bias, options);
}

Tensor conv_transpose1d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        ConvTranspose1dOptions options) {
  if (const auto in = detail::autocast<"conv_transpose1d">(x, weight, bias))
    return conv_transpose1d(in[0], in[1], in[2], options);
  return conv_transpose("conv_transpose1d", x, weight, bias, options);
}

}  // namespace trireme

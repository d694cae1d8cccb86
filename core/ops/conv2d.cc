// Convolution of images and sequences.

#include "core/ops/autocast.h"
#include "core/ops/convolution_parts.h"
#include "core/ops/ops.h"

namespace trireme {
namespace {

Tensor conv(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
            const detail::WindowOptions& o) {
  return detail::convolve(detail::checked_geometry(op, x, weight, bias, o), x, weight, bias);
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, Conv2dOptions options) {
  if (const auto in = detail::autocast<"conv2d">(x, weight, bias))
    return conv2d(in[0], in[1], in[2], options);
  return conv("conv2d", x, weight, bias, detail::windows_of(options));
}

Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, Conv1dOptions options) {
  if (const auto in = detail::autocast<"conv1d">(x, weight, bias))
    return conv1d(in[0], in[1], in[2], options);
  return conv("conv1d", x, weight, bias, detail::windows_of(options));
}

}  // namespace trireme

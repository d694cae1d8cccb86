// The operands of a convolution, checked, as the kernels see them.

#pragma once

#include "core/ops/check.h"
#include "core/ops/ops.h"
#include "kernels/conv2d.h"

namespace trireme::detail {

inline kernels::Conv2dGeometry conv2d_geometry(const Tensor& x, const Tensor& weight,
                                               const Conv2dOptions& o) {
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

/// Throws unless conv2d can take them.
inline void check_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                         const Conv2dOptions& o) {
  const char* op = "conv2d";
  check_defined(op, {{"x", &x}, {"weight", &weight}});
  check_operands(op, x, weight);
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
  check_operands(op, x, bias);
  require(bias.shape() == Shape{weight.size(0)}, op, "bias must be [", weight.size(0),
          "] for a weight of ", weight.shape(), ", got ", bias.shape());
}

}  // namespace trireme::detail

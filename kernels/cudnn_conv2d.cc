#include "kernels/cudnn_conv2d.h"

#include "kernels/cudnn_images.h"

namespace trireme::kernels {
namespace {

CudnnConvolutionShape shape_of(const Conv2dGeometry& g) {
  return {{g.pad_h, g.pad_w}, {g.stride_h, g.stride_w}, {g.dilation_h, g.dilation_w}};
}

}  // namespace

CudnnKey key_of(const CudnnConv2d& conv) {
  const Conv2dGeometry& g = conv.g;
  constexpr int64_t kOperation = 1;
  return {kOperation,    static_cast<int64_t>(conv.kind),
          conv.type,     conv.alignment,
          conv.has_bias, g.batch,
          g.height,      g.width,
          g.in_channels, g.out_channels,
          g.kernel_h,    g.kernel_w,
          g.stride_h,    g.stride_w,
          g.pad_h,       g.pad_w,
          g.dilation_h,  g.dilation_w,
          g.groups};
}

CudnnKey key_of_conv2d_norm(const CudnnConv2d& conv, NormEnd end) {
  CudnnKey key = key_of(conv);
  key[0] = 5;
  key.push_back(static_cast<int64_t>(end));
  return key;
}

CudnnBuilt build_conv2d(CudnnGraph graph, const CudnnConv2d& conv, const CudnnFilter& filter) {
  const Conv2dGeometry& g = conv.g;
  const CudnnImages image = channels_last(g.batch, g.in_channels, g.height, g.width);
  const CudnnImages result = channels_last(g.batch, g.out_channels, g.out_height(), g.out_width());
  const CudnnImages window =
      channels_last(g.out_channels, g.in_channels / g.groups, g.kernel_h, g.kernel_w);
  const auto tensor = [&](const char* name, const CudnnImages& dims) {
    return graph.tensor(name, conv.type, dims.extents, dims.strides, conv.alignment);
  };
  const CudnnTensor x = tensor("x", image), weight = tensor("weight", window);
  const CudnnTensor y = tensor("y", result);
  const CudnnConvolutionShape shape = shape_of(g);
  const cudnnDataType_t math =
      conv.type == CUDNN_DATA_DOUBLE ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
  CudnnTensor bias;
  if (conv.has_bias) {
    const bool to_image = conv.kind == CudnnConvolution::kInputGradient;
    const CudnnImages& written = to_image ? image : result;
    bias = tensor("bias", channels_last(1, to_image ? g.in_channels : g.out_channels, 1, 1));
    const CudnnTensor sums = graph.temporary("sums", math, written.extents, written.strides);
    graph.convolution(conv.kind, shape, to_image ? sums : x, weight, to_image ? y : sums, math);
    graph.pointwise("bias", CUDNN_POINTWISE_ADD, to_image ? x : y, sums, bias, {}, math);
  } else {
    graph.convolution(conv.kind, shape, x, weight, y, math);
  }
  return {{x, weight, y, bias}, graph.plans(filter)};
}

CudnnBuilt build_conv2d_norm(CudnnGraph graph, const CudnnConv2d& conv, NormEnd end,
                             const CudnnFilter& filter) {
  const Conv2dGeometry& g = conv.g;
  const CudnnImages image = channels_last(g.batch, g.in_channels, g.height, g.width);
  const CudnnImages result = channels_last(g.batch, g.out_channels, g.out_height(), g.out_width());
  const CudnnImages window =
      channels_last(g.out_channels, g.in_channels / g.groups, g.kernel_h, g.kernel_w);
  const CudnnImages channel = channels_last(1, g.out_channels, 1, 1);
  const auto tensor = [&](const char* name, const CudnnImages& dims, cudnnDataType_t type) {
    return graph.tensor(name, type, dims.extents, dims.strides);
  };
  const auto temporary = [&](const char* name) {
    return graph.temporary(name, CUDNN_DATA_FLOAT, result.extents, result.strides);
  };
  const CudnnTensor x = tensor("x", image, conv.type), weight = tensor("weight", window, conv.type);
  const CudnnTensor scale = tensor("scale", channel, CUDNN_DATA_FLOAT);
  const CudnnTensor shift = tensor("shift", channel, CUDNN_DATA_FLOAT);
  const CudnnTensor y = tensor("y", result, conv.type);
  const CudnnTensor sums = temporary("sums"), scaled = temporary("scaled");
  const CudnnTensor normalised = end == NormEnd::kPlain ? y : temporary("normalised");
  graph.convolution(CudnnConvolution::kForward, shape_of(g), x, weight, sums, CUDNN_DATA_FLOAT);
  graph.pointwise("scale", CUDNN_POINTWISE_MUL, scaled, sums, scale);
  graph.pointwise("shift", CUDNN_POINTWISE_ADD, normalised, scaled, shift);
  CudnnTensor residual, last = normalised;
  if (end == NormEnd::kAddRelu) {
    residual = tensor("residual", result, conv.type);
    last = temporary("sum");
    graph.pointwise("residual", CUDNN_POINTWISE_ADD, last, normalised, residual);
  }
  if (end != NormEnd::kPlain) graph.pointwise("relu", CUDNN_POINTWISE_RELU_FWD, y, last);
  return {{x, weight, scale, shift, residual, y}, graph.plans(filter)};
}

}  // namespace trireme::kernels

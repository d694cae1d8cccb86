#include "kernels/cudnn_conv2d.h"

namespace trireme::kernels {
namespace {

/// cuDNN counts [batch, channels, height, width] in any memory order: ours has channels last.
struct ImageDims {
  CudnnDims extents, strides;
};
ImageDims channels_last(int64_t batch, int64_t channels, int64_t height, int64_t width) {
  return {{batch, channels, height, width},
          {height * width * channels, 1, width * channels, channels}};
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

CudnnBuilt build_conv2d(CudnnGraph graph, const CudnnConv2d& conv, const CudnnFilter& filter) {
  const Conv2dGeometry& g = conv.g;
  const ImageDims image = channels_last(g.batch, g.in_channels, g.height, g.width);
  const ImageDims result = channels_last(g.batch, g.out_channels, g.out_height(), g.out_width());
  const ImageDims window =
      channels_last(g.out_channels, g.in_channels / g.groups, g.kernel_h, g.kernel_w);
  const auto tensor = [&](const char* name, const ImageDims& dims) {
    return graph.tensor(name, conv.type, dims.extents, dims.strides, conv.alignment);
  };
  const CudnnTensor x = tensor("x", image), weight = tensor("weight", window);
  const CudnnTensor y = tensor("y", result);
  const CudnnConvolutionShape shape{
      {g.pad_h, g.pad_w}, {g.stride_h, g.stride_w}, {g.dilation_h, g.dilation_w}};
  const cudnnDataType_t math =
      conv.type == CUDNN_DATA_DOUBLE ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
  CudnnTensor bias;
  if (conv.has_bias) {
    const bool to_image = conv.kind == CudnnConvolution::kInputGradient;
    const ImageDims& written = to_image ? image : result;
    bias = tensor("bias", channels_last(1, to_image ? g.in_channels : g.out_channels, 1, 1));
    const CudnnTensor sums = graph.temporary("sums", math, written.extents, written.strides);
    graph.convolution(conv.kind, shape, to_image ? sums : x, weight, to_image ? y : sums, math);
    graph.pointwise("bias", CUDNN_POINTWISE_ADD, to_image ? x : y, sums, bias, {}, math);
  } else {
    graph.convolution(conv.kind, shape, x, weight, y, math);
  }
  return {{x, weight, y, bias}, graph.plans(filter)};
}

}  // namespace trireme::kernels

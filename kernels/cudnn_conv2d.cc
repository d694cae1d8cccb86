#include "kernels/cudnn_conv2d.h"

#include "kernels/cudnn_images.h"
#include "kernels/cudnn_norm_end.h"

namespace trireme::kernels {
namespace {

CudnnConvolutionShape shape_of(const Conv2dGeometry& g) {
  return {{g.pad_h, g.pad_w}, {g.stride_h, g.stride_w}, {g.dilation_h, g.dilation_w}};
}

/// The tensors that all graphs of a convolution have.
struct Tensors {
  CudnnGraph& graph;
  const CudnnConv2d& conv;
  CudnnImages image, result, window;
  CudnnTensor x, weight, y;

  Tensors(CudnnGraph& to, const CudnnConv2d& c)
      : graph(to),
        conv(c),
        image(channels_last(c.g.batch, c.g.in_channels, c.g.height, c.g.width)),
        result(channels_last(c.g.batch, c.g.out_channels, c.g.out_height(), c.g.out_width())),
        window(channels_last(c.g.out_channels, c.g.in_channels / c.g.groups, c.g.kernel_h,
                             c.g.kernel_w)),
        x(tensor("x", image)),
        weight(tensor("weight", window)),
        y(tensor("y", result)) {}
  CudnnTensor tensor(const char* name, const CudnnImages& dims) const {
    return graph.tensor(name, conv.type, dims.extents, dims.strides, conv.alignment);
  }
  /// Numbers of the result's channels, f32.
  CudnnTensor of_channels(const char* name) const {
    const CudnnImages dims = channels_last(1, conv.g.out_channels, 1, 1);
    return graph.tensor(name, CUDNN_DATA_FLOAT, dims.extents, dims.strides);
  }
  CudnnTensor temporary(const char* name, const CudnnImages& dims,
                        cudnnDataType_t type = CUDNN_DATA_FLOAT) const {
    return graph.temporary(name, type, dims.extents, dims.strides);
  }
};

}  // namespace

CudnnKey key_of(const CudnnConv2d& conv) {
  const Conv2dGeometry& g = conv.g;
  constexpr auto kOperation = static_cast<int64_t>(CudnnOperation::kConv2d);
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
  key[0] = static_cast<int64_t>(CudnnOperation::kConv2dNorm);
  key.push_back(static_cast<int64_t>(end));
  return key;
}

CudnnBuilt build_conv2d(CudnnGraph graph, const CudnnConv2d& conv, const CudnnFilter& filter) {
  const Tensors t(graph, conv);
  const CudnnConvolutionShape shape = shape_of(conv.g);
  const cudnnDataType_t math =
      conv.type == CUDNN_DATA_DOUBLE ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
  CudnnTensor bias;
  if (conv.has_bias) {
    const bool to_image = conv.kind == CudnnConvolution::kInputGradient;
    const int64_t channels = to_image ? conv.g.in_channels : conv.g.out_channels;
    bias = t.tensor("bias", channels_last(1, channels, 1, 1));
    const CudnnTensor sums = t.temporary("sums", to_image ? t.image : t.result, math);
    graph.convolution(conv.kind, shape, to_image ? sums : t.x, t.weight, to_image ? t.y : sums,
                      math);
    graph.pointwise("bias", CUDNN_POINTWISE_ADD, to_image ? t.x : t.y, sums, bias, {}, math);
  } else {
    graph.convolution(conv.kind, shape, t.x, t.weight, t.y, math);
  }
  return {{t.x, t.weight, t.y, bias}, graph.plans(filter)};
}

CudnnBuilt build_conv2d_norm(CudnnGraph graph, const CudnnConv2d& conv, NormEnd end,
                             const CudnnFilter& filter) {
  const Tensors t(graph, conv);
  const CudnnTensor scale = t.of_channels("scale"), shift = t.of_channels("shift");
  const CudnnTensor sums = t.temporary("sums", t.result), scaled = t.temporary("scaled", t.result);
  const CudnnTensor normalised = end == NormEnd::kPlain ? t.y : t.temporary("normalised", t.result);
  graph.convolution(CudnnConvolution::kForward, shape_of(conv.g), t.x, t.weight, sums,
                    CUDNN_DATA_FLOAT);
  graph.pointwise("scale", CUDNN_POINTWISE_MUL, scaled, sums, scale);
  graph.pointwise("shift", CUDNN_POINTWISE_ADD, normalised, scaled, shift);
  const CudnnTensor residual = add_norm_end(graph, end, conv.type, t.result, normalised, t.y);
  return {{t.x, t.weight, scale, shift, residual, t.y}, graph.plans(filter)};
}

}  // namespace trireme::kernels

#include "core/ops/convolution_parts.h"

#include <algorithm>
#include <limits>

#include "core/autograd/attach.h"
#include "core/ops/as_rows.h"
#include "core/ops/check.h"
#include "core/ops/norm_factor.h"
#include "core/ops/ops.h"
#include "kernels/matmul.h"

namespace trireme::detail {
namespace {

/// Extents are sums of products of such numbers and of extents that memory holds: none overflows.
constexpr int64_t kLargestWindow = std::numeric_limits<int32_t>::max();

/// [first, rows, columns, last], without rows in rank 3.
Shape shape_of(int rank, int64_t first, int64_t rows, int64_t columns, int64_t last) {
  return rank == 4 ? Shape{first, rows, columns, last} : Shape{first, columns, last};
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
  if (is_recording()) return sum_to(dy, {dy.size(-1)});
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

void check_window_options(const char* op, const WindowOptions& o) {
  require(o.groups >= 1, op, "groups must be at least 1, got ", o.groups);
  require(o.groups <= kLargestWindow, op, "groups must be at most ", kLargestWindow, ", got ",
          o.groups);
  for (size_t i = 0; i < o.stride.size(); ++i) {
    require(o.stride[i] >= 1 && o.dilation[i] >= 1 && o.padding[i] >= 0, op,
            "stride and dilation must be at least 1 and padding at least 0, got ", o.stride[i],
            ", ", o.dilation[i], " and ", o.padding[i]);
    require(std::max({o.stride[i], o.dilation[i], o.padding[i]}) <= kLargestWindow, op,
            "stride, dilation and padding must be at most ", kLargestWindow, ", got ", o.stride[i],
            ", ", o.dilation[i], " and ", o.padding[i]);
  }
}

void check_output_padding(const char* op, std::span<const int64_t> output_padding,
                          const WindowOptions& o) {
  for (size_t i = 0; i < output_padding.size(); ++i) {
    require(output_padding[i] >= 0 && output_padding[i] < o.stride[i], op,
            "output padding must be at least 0 and less than the stride ", o.stride[i], ", got ",
            output_padding[i]);
  }
}

void check_windows(const char* op, const Tensor& x, const Tensor& weight, const char* between,
                   const WindowOptions& o) {
  check_defined(op, {{"x", &x}, {"weight", &weight}});
  check_operands(op, x, weight);
  require(is_floating(x.dtype()), op, "x must be floating, got ", x.dtype(), x.shape());
  const bool is_image = o.dims() == 2;
  require(x.rank() == o.dims() + 2, op, "x must be ",
          is_image ? "[batch, height, width, channels]" : "[batch, length, channels]", ", got ",
          x.shape());
  require(weight.rank() == o.dims() + 2 && weight.numel() > 0, op, "weight must be ", between,
          ", got ", weight.shape());
  check_window_options(op, o);
  for (int i = 1; i <= o.dims(); ++i) {
    require(x.size(i) >= 1, op, "x has nothing to slide over, got ", x.shape());
  }
}

void check_conv_bias(const char* op, const Tensor& bias, int64_t channels, const Tensor& weight) {
  if (!bias) return;
  check_operands(op, weight, bias);
  require(bias.shape() == Shape{channels}, op, "bias must be [", channels, "] for a weight of ",
          weight.shape(), ", got ", bias.shape());
}

Conv2dGeometry checked_geometry(const char* op, const Tensor& x, const Tensor& weight,
                                const Tensor& bias, const WindowOptions& o) {
  check_windows(op, x, weight,
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
  check_conv_bias(op, bias, weight.size(0), weight);
  return geometry_of(x.shape(), weight, o);
}

Conv2dGeometry geometry_of(const Shape& image, const Tensor& weight, const WindowOptions& o) {
  Conv2dGeometry g{.batch = image[0],
                   .height = 1,
                   .width = image[o.dims()],
                   .in_channels = image.back(),
                   .out_channels = weight.size(0),
                   .kernel_h = 1,
                   .kernel_w = weight.size(-2),
                   .stride_w = o.stride.back(),
                   .pad_w = o.padding.back(),
                   .dilation_w = o.dilation.back(),
                   .groups = o.groups};
  if (o.dims() == 1) return g;
  g.height = image[1];
  g.kernel_h = weight.size(1);
  g.stride_h = o.stride[0];
  g.pad_h = o.padding[0];
  g.dilation_h = o.dilation[0];
  return g;
}

Tensor convolve(const Conv2dGeometry& g, const Tensor& image, const Tensor& weight,
                const Tensor& bias) {
  const bool is_image = image.rank() == 4;
  Tensor y = empty(shape_of(image.rank(), g.batch, g.out_height(), g.out_width(), g.out_channels),
                   {image.dtype(), image.device()});
  const Tensor x = dense(image), filter = dense(weight), shift = bias ? dense(bias) : bias;
  run(g, y, [&](auto device, auto tag) {
    using T = typename decltype(tag)::type;
    kernels::conv2d(device, g, x.data<T>(), filter.data<T>(), data_or_null<T>(shift), y.data<T>());
  });
  if (!is_recording()) return y;  // in a formula above all
  return attach_joint<3>(
      differentiable(is_image ? "conv2d" : "conv1d"), std::move(y), {&image, &weight, &bias},
      [g, image = save(image), weight = save(weight), dweight = GradientHome(weight),
       dbias = GradientHome(bias)](const Tensor& dy, const std::array<bool, 3>& need) {
        const Tensor upstream = contiguous(dy);
        std::array<Tensor, 3> d;
        if (need[0]) d[0] = convolve_transposed(g, upstream, weight());
        if (need[1]) d[1] = correlate(g, image(), upstream, dweight);
        if (need[2]) d[2] = bias_gradient(upstream, dbias);
        return d;
      });
}

Tensor convolve_transposed(const Conv2dGeometry& g, const Tensor& result, const Tensor& weight,
                           const Tensor& bias) {
  const bool is_image = result.rank() == 4;
  Tensor x = empty(shape_of(result.rank(), g.batch, g.height, g.width, g.in_channels),
                   {result.dtype(), result.device()});
  const Tensor y = dense(result), filter = dense(weight), shift = bias ? dense(bias) : bias;
  run(g, x, [&](auto device, auto tag) {
    using T = typename decltype(tag)::type;
    kernels::conv2d_input_gradient(device, g, y.data<T>(), filter.data<T>(), data_or_null<T>(shift),
                                   x.data<T>());
  });
  if (!is_recording()) return x;
  return attach_joint<3>(
      differentiable(is_image ? "conv_transpose2d" : "conv_transpose1d"), std::move(x),
      {&result, &weight, &bias},
      [g, result = save(result), weight = save(weight), dweight = GradientHome(weight),
       dbias = GradientHome(bias)](const Tensor& dx, const std::array<bool, 3>& need) {
        const Tensor upstream = contiguous(dx);
        std::array<Tensor, 3> d;
        if (need[0]) d[0] = convolve(g, upstream, weight());
        if (need[1]) d[1] = correlate(g, upstream, result(), dweight);
        if (need[2]) d[2] = bias_gradient(upstream, dbias);
        return d;
      });
}

Tensor correlate(const Conv2dGeometry& g, const Tensor& image, const Tensor& result,
                 const GradientHome& home) {
  const Shape shape =
      shape_of(image.rank(), g.out_channels, g.kernel_h, g.kernel_w, g.in_channels / g.groups);
  const TensorOptions like{image.dtype(), image.device()};
  Tensor weight = is_recording() ? empty(shape, like) : home.empty(shape, like);
  const Tensor x = dense(image), y = dense(result);
  run(g, weight, [&](auto device, auto tag) {
    using T = typename decltype(tag)::type;
    kernels::conv2d_weight_gradient(device, g, x.data<T>(), y.data<T>(), weight.data<T>());
  });
  if (!is_recording()) return weight;
  return attach(
      differentiable("conv2d_weight_gradient"), std::move(weight),
      wrt(image, [g, result = save(result)](
                     const Tensor& dweight) { return convolve_transposed(g, result(), dweight); }),
      wrt(result, [g, image = save(image)](const Tensor& dweight) {
        return convolve(g, image(), dweight);
      }));
}

}  // namespace trireme::detail

// Rows of the convolutions. The references index each element by its four coordinates, straight
// from the definitions; those of sequences are those of images with one row.

#include "core/ops/ops.h"
#include "tests/ops/image_reference.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

Reference conv_transpose2d_reference(const ConvTranspose2dOptions& o) {
  return [o](const Arrays& in) {
    const Array &x = in[0], &w = in[1];
    const int64_t in_group = x.shape[3] / o.groups, out_group = w.shape[3];
    Shape shape = x.shape;
    shape[3] = out_group * o.groups;
    for (int d = 0; d < 2; ++d) {
      const auto i = static_cast<size_t>(d);
      shape[1 + d] = (x.shape[1 + d] - 1) * o.stride[i] - 2 * o.padding[i] +
                     o.dilation[i] * (w.shape[1 + d] - 1) + o.output_padding[i] + 1;
    }
    Array y = Array::zeros(shape);
    const int64_t rows = shape[1], cols = shape[2], channels = shape[3];
    each(x, [&](double v, int64_t n, int64_t r, int64_t col, int64_t c) {
      for (int64_t i = 0; i < w.shape[1]; ++i) {
        for (int64_t j = 0; j < w.shape[2]; ++j) {
          const int64_t row = r * o.stride[0] - o.padding[0] + i * o.dilation[0];
          const int64_t to = col * o.stride[1] - o.padding[1] + j * o.dilation[1];
          if (row < 0 || row >= rows || to < 0 || to >= cols) continue;
          for (int64_t k = 0; k < out_group; ++k) {
            y[((n * rows + row) * cols + to) * channels + c / in_group * out_group + k] +=
                v * at(w, c, i, j, k);
          }
        }
      }
    });
    if (in.size() < 3) return y;
    return each(y, [&](double& v, int64_t, int64_t, int64_t, int64_t c) { v += in[2][c]; });
  };
}

/// A reference of images for sequences.
Reference of_one_row(const Reference& images) {
  return [images](Arrays in) {
    const auto with_rows = [](const Shape& s) { return Shape{s[0], 1, s[1], s[2]}; };
    for (size_t i = 0; i < 2; ++i) in[i].shape = with_rows(in[i].shape);
    Array y = images(in);
    y.shape = {y.shape[0], y.shape[2], y.shape[3]};
    return y;
  };
}

/// Op: (x, weight, bias, options). `bias`: its length, or 0 for none.
template <typename Options>
OpCase conv_case(const std::string& name,
                 Tensor (*op)(const Tensor&, const Tensor&, const Tensor&, Options),
                 const Reference& reference, const Shape& x, const Shape& weight, int64_t bias,
                 const Options& o, bool takes_one_element) {
  Shape none = x;
  none[0] = 0;
  OpCase row{.name = name,
             .inputs = {real(x), real(weight)},
             .op =
                 [op, o](const Tensors& in) {
                   return op(in[0], in[1], in.size() > 2 ? in[2] : Tensor(), o);
                 },
             .reference = reference,
             .tolerance = 1e-5,
             .empty_shapes = {{none, weight}},
             .one_shapes = kNotApplicable};
  if (takes_one_element) {
    row.one_shapes = Shapes(2, Dims::filled(x.rank(), 1));
  }
  if (bias == 0) return row;
  row.inputs.push_back(real({bias}));
  row.empty_shapes->push_back({bias});
  if (!row.one_shapes->empty()) row.one_shapes->push_back({1});
  return row;
}

OpCase conv2d_case(const std::string& name, const Shape& x, const Shape& weight, bool has_bias,
                   const Conv2dOptions& o = {}) {
  return conv_case("conv2d_" + name, conv2d, conv2d_reference(o), x, weight,
                   has_bias ? weight[0] : 0, o, o.groups == 1 && o.padding[0] == 0);
}
/// cuDNN may have no kernel that adds the bias to an input gradient.
OpCase rounded_before_bias(OpCase row) {
  row.more_roundings_on_cuda = row.inputs.size() > 2 ? 1 : 0;
  return row;
}
OpCase transposed_case(const std::string& name, const Shape& x, const Shape& weight, bool has_bias,
                       const ConvTranspose2dOptions& o = {}) {
  return rounded_before_bias(conv_case(
      "conv_transpose2d_" + name, conv_transpose2d, conv_transpose2d_reference(o), x, weight,
      has_bias ? weight[3] * o.groups : 0, o, o.groups == 1 && o.padding[0] == 0));
}
OpCase conv1d_case(const std::string& name, const Shape& x, const Shape& weight, bool has_bias,
                   const Conv1dOptions& o = {}) {
  const Conv2dOptions images{{1, o.stride}, {0, o.padding}, {1, o.dilation}, o.groups};
  return conv_case("conv1d_" + name, conv1d, of_one_row(conv2d_reference(images)), x, weight,
                   has_bias ? weight[0] : 0, o, o.groups == 1 && o.padding == 0);
}
OpCase transposed1d_case(const std::string& name, const Shape& x, const Shape& weight,
                         bool has_bias, const ConvTranspose1dOptions& o = {}) {
  const ConvTranspose2dOptions images{
      {1, o.stride}, {0, o.padding}, {0, o.output_padding}, {1, o.dilation}, o.groups};
  return rounded_before_bias(conv_case(
      "conv_transpose1d_" + name, conv_transpose1d, of_one_row(conv_transpose2d_reference(images)),
      x, weight, has_bias ? weight[2] * o.groups : 0, o, o.groups == 1 && o.padding == 0));
}

}  // namespace

std::vector<OpCase> convolution_cases() {
  return {
      conv2d_case("plain", {2, 5, 6, 3}, {4, 3, 3, 3}, false),
      conv2d_case("bias", {2, 5, 4, 2}, {3, 3, 2, 2}, true),
      conv2d_case("padded", {2, 5, 6, 3}, {4, 3, 3, 3}, false, {.padding = {1, 1}}),
      conv2d_case("strided", {1, 7, 8, 2}, {3, 3, 3, 2}, false,
                  {.stride = {2, 3}, .padding = {1, 1}}),
      conv2d_case("dilated", {1, 7, 8, 2}, {3, 3, 2, 2}, true,
                  {.padding = {2, 1}, .dilation = {2, 3}}),
      conv2d_case("groups", {2, 5, 5, 4}, {6, 3, 3, 2}, true, {.padding = {1, 1}, .groups = 2}),
      conv2d_case("depthwise", {2, 4, 5, 3}, {3, 3, 3, 1}, false, {.padding = {1, 1}, .groups = 3}),
      conv2d_case("one_by_one", {2, 4, 5, 3}, {5, 1, 1, 3}, false, {.stride = {2, 2}}),
      transposed_case("plain", {2, 3, 4, 3}, {3, 3, 2, 4}, false),
      transposed_case("bias", {2, 3, 3, 2}, {2, 2, 3, 3}, true),
      transposed_case("padded", {2, 4, 3, 3}, {3, 3, 3, 2}, false, {.padding = {1, 2}}),
      transposed_case("strided", {1, 3, 4, 2}, {2, 3, 2, 3}, true,
                      {.stride = {2, 3}, .padding = {1, 0}}),
      transposed_case("output_padding", {2, 3, 3, 2}, {2, 3, 3, 2}, false,
                      {.stride = {2, 3}, .padding = {1, 1}, .output_padding = {1, 2}}),
      transposed_case("dilated", {1, 3, 4, 2}, {2, 2, 3, 2}, true,
                      {.stride = {1, 2}, .padding = {1, 2}, .dilation = {3, 2}}),
      transposed_case("groups", {2, 3, 3, 4}, {4, 3, 2, 3}, true,
                      {.stride = {2, 2}, .output_padding = {0, 1}, .groups = 2}),
      transposed_case("depthwise", {2, 3, 4, 3}, {3, 2, 2, 1}, false,
                      {.stride = {2, 2}, .groups = 3}),
      // Pixels that no filter reaches are 0.
      transposed_case("sparse", {2, 2, 3, 2}, {2, 1, 1, 3}, false, {.stride = {3, 2}}),
      conv1d_case("plain", {2, 7, 3}, {4, 3, 3}, false),
      conv1d_case("all_options", {2, 9, 4}, {6, 3, 2}, true,
                  {.stride = 2, .padding = 3, .dilation = 2, .groups = 2}),
      transposed1d_case("plain", {2, 5, 3}, {3, 3, 4}, false),
      transposed1d_case(
          "all_options", {2, 4, 4}, {4, 3, 2}, true,
          {.stride = 3, .padding = 2, .output_padding = 1, .dilation = 2, .groups = 2}),
  };
}

}  // namespace trireme::testing

// Rows of pooling and batch normalisation, [batch, height, width, channels]. The references index
// each element by its four coordinates, straight from the definitions.

#include <cmath>
#include <limits>

#include "core/ops/conv2d_norm.h"
#include "core/ops/ops.h"
#include "tests/ops/image_reference.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

Reference pool_reference(const Pool2dOptions& o, bool largest) {
  return [o, largest](const Arrays& in) {
    const Array& x = in[0];
    int64_t stride[2], out[2];
    for (int i = 0; i < 2; ++i) {
      stride[i] = o.stride[i] ? o.stride[i] : o.kernel[i];
      out[i] = extent(x.shape[1 + i], o.kernel[i], stride[i], o.padding[i]);
    }
    const Shape shape{x.shape[0], out[0], out[1], x.shape[3]};
    const double outside = std::nan("");
    return each(Array::zeros(shape), [&](double& y, int64_t n, int64_t r, int64_t col, int64_t c) {
      double most = -std::numeric_limits<double>::infinity(), sum = 0, count = 0;
      for (int64_t i = 0; i < o.kernel[0]; ++i) {
        for (int64_t j = 0; j < o.kernel[1]; ++j) {
          const double v = at(x, n, r * stride[0] - o.padding[0] + i,
                              col * stride[1] - o.padding[1] + j, c, outside);
          if (std::isnan(v)) continue;
          most = std::max(most, v);
          sum += v;
          count += 1;
        }
      }
      y = largest ? most : sum / count;
    });
  };
}

OpCase pool_case(const std::string& name, const Shape& x, bool largest, Pool2dOptions o) {
  Shape none = x;
  none[0] = 0;
  return {.name = (largest ? "max_pool2d_" : "avg_pool2d_") + name,
          .inputs = {real(x)},
          .op =
              [o, largest](const Tensors& in) {
                return largest ? max_pool2d(in[0], o) : avg_pool2d(in[0], o);
              },
          .reference = pool_reference(o, largest),
          .empty_shapes = {{none}},
          .one_shapes = kNotApplicable};
}

OpCase adaptive_case(const std::string& name, const Shape& x, int64_t height, int64_t width) {
  Shape none = x;
  none[0] = 0;
  return {.name = "adaptive_avg_pool2d_" + name,
          .inputs = {real(x)},
          .op = [=](const Tensors& in) { return adaptive_avg_pool2d(in[0], height, width); },
          .reference =
              [=](const Arrays& in) {
                const Array& image = in[0];
                const Shape shape{image.shape[0], height, width, image.shape[3]};
                return each(Array::zeros(shape),
                            [&](double& y, int64_t n, int64_t r, int64_t col, int64_t c) {
                              const double rows = double(image.shape[1]) / double(height);
                              const double cols = double(image.shape[2]) / double(width);
                              double count = 0;
                              for (auto i = int64_t(std::floor(double(r) * rows));
                                   i < int64_t(std::ceil(double(r + 1) * rows)); ++i) {
                                for (auto j = int64_t(std::floor(double(col) * cols));
                                     j < int64_t(std::ceil(double(col + 1) * cols)); ++j) {
                                  y += at(image, n, i, j, c);
                                  count += 1;
                                }
                              }
                              y /= count;
                            });
              },
          .empty_shapes = {{none}}};
}

/// With running statistics (constants of the row) in evaluation, without them in training.
/// kRelu: relu of it, kReluOfSum: after adding the second operand.
enum class End { kPlain, kRelu, kReluOfSum };

OpCase batch_norm_case(const std::string& name, const Shape& x, bool has_factors, bool training,
                       End end = End::kPlain) {
  constexpr double kEps = 1e-3, kMean = 0.25, kVar = 1.5;
  const Shape channels{x.back()};
  Shape none = x;
  none[0] = 0;
  const size_t operands = end == End::kReluOfSum ? 2 : 1;
  OpCase row{.name = (end == End::kPlain ? "batch_norm_" : "batch_norm_relu_") + name,
             .inputs = std::vector<OpInput>(operands, real(x)),
             .op =
                 [=](const Tensors& in) {
                   const bool factors = in.size() > operands;
                   const Tensor gamma = factors ? in[operands] : Tensor();
                   const Tensor beta = factors ? in[operands + 1] : Tensor();
                   const TensorOptions like{acc_dtype(in[0].dtype()), in[0].device()};
                   const Tensor mean = training ? Tensor() : full({in[0].size(-1)}, kMean, like);
                   const Tensor var = training ? Tensor() : full({in[0].size(-1)}, kVar, like);
                   const BatchNormOptions options{.training = training, .eps = kEps};
                   if (end == End::kPlain) {
                     return batch_norm(in[0], gamma, beta, mean, var, options);
                   }
                   const Tensor residual = end == End::kReluOfSum ? in[1] : Tensor();
                   return batch_norm_relu(in[0], residual, gamma, beta, mean, var, options);
                 },
             .reference =
                 [=](const Arrays& in) {
                   Array y = in[0];
                   const int64_t c = y.shape.back(), rows = c ? y.shape.product() / c : 0;
                   for (int64_t k = 0; k < c; ++k) {
                     double mean = training ? 0 : kMean, var = training ? 0 : kVar;
                     for (int64_t r = 0; training && r < rows; ++r)
                       mean += y[r * c + k] / double(rows);
                     for (int64_t r = 0; training && r < rows; ++r) {
                       var += std::pow(y[r * c + k] - mean, 2) / double(rows);
                     }
                     for (int64_t r = 0; r < rows; ++r) {
                       double& v = y[r * c + k];
                       v = (v - mean) / std::sqrt(var + kEps);
                       if (in.size() > operands) {
                         v = v * in[operands][k] + in[operands + 1][k];
                       }
                       if (end == End::kReluOfSum) v += in[1][r * c + k];
                       if (end != End::kPlain) v = std::max(v, 0.0);
                     }
                   }
                   return y;
                 },
             .tolerance = 1e-5,
             .empty_shapes = Shapes(operands, none),
             .one_shapes = kNotApplicable};  // one value per channel has no variance
  if (!training) row.one_shapes = Shapes(operands, Dims::filled(x.rank(), 1));
  if (!has_factors) return row;
  for (int i = 0; i < 2; ++i) {
    row.inputs.push_back(real(channels));
    row.empty_shapes->push_back(channels);
    if (!row.one_shapes->empty()) row.one_shapes->push_back({1});
  }
  return row;
}

/// In evaluation, with running statistics that are constants of the row. Gradients are those of the
/// ops that it is made of; a forward without history is conv2d_norm's own.
OpCase conv2d_norm_case(const std::string& name, const Shape& x, const Shape& weight, End end,
                        Conv2dOptions o = {}) {
  constexpr double kEps = 1e-3, kMean = 0.25, kVar = 1.5;
  const int64_t channels = weight[0];
  Shape none = x, sum{x[0], extent(x[1], weight[1], o.stride[0], o.padding[0]),
                      extent(x[2], weight[2], o.stride[1], o.padding[1]), channels};
  none[0] = 0;
  const bool has_residual = end == End::kReluOfSum;
  OpCase row{.name = "conv2d_batch_norm_" + name,
             .inputs = {real(x), real(weight), real({channels}), real({channels})},
             .op =
                 [=](const Tensors& in) {
                   const TensorOptions like{acc_dtype(in[0].dtype()), in[0].device()};
                   const FrozenNorm norm{in[2], in[3], full({in[1].size(0)}, kMean, like),
                                         full({in[1].size(0)}, kVar, like), kEps};
                   return conv2d_batch_norm(in[0], in[1], o, norm, end != End::kPlain,
                                            has_residual ? in[4] : Tensor());
                 },
             .reference =
                 [=](const Arrays& in) {
                   Array y = conv2d_reference(o)({in[0], in[1]});
                   for (int64_t i = 0; i < y.shape.product(); ++i) {
                     const int64_t c = i % y.shape.back();
                     double& v = y[i];
                     v = (v - kMean) / std::sqrt(kVar + kEps) * in[2][c] + in[3][c];
                     if (has_residual) v += in[4][i];
                     if (end != End::kPlain) v = std::max(v, 0.0);
                   }
                   return y;
                 },
             .tolerance = 1e-5,
             // In passes the convolution is rounded before its mean is subtracted.
             .roundings = 8,
             .empty_shapes = {{none, weight, {channels}, {channels}}},
             .one_shapes = kNotApplicable};
  if (!has_residual) return row;
  row.inputs.push_back(real(sum));
  sum[0] = 0;
  row.empty_shapes->push_back(sum);
  return row;
}

}  // namespace

std::vector<OpCase> image_cases() {
  return {
      pool_case("plain", {2, 4, 6, 3}, true, {}),
      pool_case("overlapping", {2, 7, 6, 3}, true,
                {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}),
      pool_case("rectangle", {1, 5, 9, 2}, true, {.kernel = {2, 3}, .stride = {1, 2}}),
      pool_case("plain", {2, 4, 6, 3}, false, {}),
      pool_case("overlapping", {2, 7, 6, 3}, false,
                {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}),
      // Channels by eights, as cuDNN's kernels want them.
      pool_case("of_16_channels", {3, 7, 6, 16}, true,
                {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}),
      pool_case("of_16_channels", {3, 7, 6, 16}, false, {}),
      adaptive_case("one", {2, 5, 4, 3}, 1, 1),
      adaptive_case("uneven", {2, 5, 7, 3}, 2, 3),
      adaptive_case("larger", {1, 2, 3, 2}, 3, 5),
      batch_norm_case("training", {3, 4, 2, 5}, true, true),
      batch_norm_case("rows", {150, 21}, true, true),
      batch_norm_case("no_factors", {6, 3}, false, true),
      batch_norm_case("running", {3, 2, 2, 5}, true, false),
      batch_norm_case("training", {3, 4, 2, 5}, true, true, End::kRelu),
      batch_norm_case("rows", {150, 21}, true, true, End::kRelu),
      batch_norm_case("running", {3, 2, 2, 5}, true, false, End::kRelu),
      batch_norm_case("residual", {3, 4, 2, 5}, true, true, End::kReluOfSum),
      batch_norm_case("residual_rows", {150, 21}, true, true, End::kReluOfSum),
      batch_norm_case("residual_no_factors", {6, 3}, false, true, End::kReluOfSum),
      batch_norm_case("residual_running", {3, 2, 2, 5}, true, false, End::kReluOfSum),
      batch_norm_case("of_16_channels", {5, 4, 4, 16}, true, true),
      batch_norm_case("of_16_channels", {5, 4, 4, 16}, true, true, End::kRelu),
      batch_norm_case("residual_of_16_channels", {5, 4, 4, 16}, true, true, End::kReluOfSum),
      conv2d_norm_case("plain_running", {2, 5, 6, 3}, {4, 3, 3, 3}, End::kPlain),
      conv2d_norm_case("relu_running", {2, 5, 6, 3}, {4, 3, 3, 3}, End::kRelu, {.padding = {1, 1}}),
      conv2d_norm_case("residual_running", {1, 7, 8, 2}, {3, 3, 3, 2}, End::kReluOfSum,
                       {.stride = {2, 3}, .padding = {1, 1}}),
      conv2d_norm_case("of_16_channels_running", {2, 5, 6, 16}, {8, 3, 3, 16}, End::kReluOfSum,
                       {.padding = {1, 1}}),
  };
}

}  // namespace trireme::testing

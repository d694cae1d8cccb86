// Rows of the fused ops: the same references as the ops they join.

#include <cmath>

#include "core/ops/ops.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

/// Both results of residual_layer_norm or residual_rms_norm as one tensor, weighted so that neither
/// hides the other, or the normalised one alone: then the sum has no gradient of its own. (The sum
/// alone: fused_test.cc.)
enum class Parts { kBoth, kNormalised };
enum class Norm { kLayer, kLayerWithoutBeta, kRms };

OpCase residual_case(Norm norm, const std::string& name, const Shape& shape, Parts parts) {
  constexpr double kEps = 1e-3;
  const double of_sum = parts == Parts::kNormalised ? 0 : 1, of_y = 3;
  const Shape features{shape.back()};
  Shape none = shape;
  none[0] = 0;
  const std::string op = norm == Norm::kRms ? "residual_rms_norm" : "residual_layer_norm";
  std::vector<OpInput> inputs{real(shape), real(shape), real(features)};
  std::vector<Shape> empty{none, none, features};
  if (norm == Norm::kLayer) {
    inputs.push_back(real(features));
    empty.push_back(features);
  }
  return {.name = op + "_" + name,
          .inputs = inputs,
          .op =
              [=](const Tensors& in) {
                const auto [sum, y] =
                    norm == Norm::kRms
                        ? residual_rms_norm(in[0], in[1], in[2], kEps)
                        : residual_layer_norm(in[0], in[1], in[2],
                                              norm == Norm::kLayer ? in[3] : Tensor(), kEps);
                return parts == Parts::kNormalised ? y * of_y : sum + y * of_y;
              },
          .reference =
              [=](const Arrays& in) {
                Array result = in[0];
                const int64_t n = in[0].shape.back();
                for (int64_t at = 0; at < result.shape.product(); at += n) {
                  double mean = 0, var = 0;
                  const auto sum = [&](int64_t i) { return in[0][at + i] + in[1][at + i]; };
                  for (int64_t i = 0; i < n && norm != Norm::kRms; ++i) mean += sum(i) / double(n);
                  for (int64_t i = 0; i < n; ++i) var += std::pow(sum(i) - mean, 2) / double(n);
                  for (int64_t i = 0; i < n; ++i) {
                    const double xhat = (sum(i) - mean) / std::sqrt(var + kEps);
                    const double y = xhat * in[2][i] + (norm == Norm::kLayer ? in[3][i] : 0);
                    result[at + i] = of_sum * sum(i) + of_y * y;
                  }
                }
                return result;
              },
          .tolerance = 1e-5,
          // The sum, its normal form, and the two products that join them, which may cancel.
          .roundings = 6,
          .differentiable_once = op,
          .empty_shapes = {empty}};
}

/// x and the biases in [-2, 2), weights small enough that results are of the same size.
OpCase feed_forward_case(const std::string& name, const Shape& x, int64_t hidden, int64_t out) {
  const int64_t in = x.back();
  Shape none = x;
  none[0] = 0;
  return {.name = "feed_forward_" + name,
          .inputs = {real(x), real({in, hidden}, -0.5, 0.5), real({hidden}),
                     real({hidden, out}, -0.5, 0.5), real({out})},
          .op = [](const Tensors& t) { return feed_forward(t[0], t[1], t[2], t[3], t[4]); },
          .reference =
              [=](const Arrays& t) {
                const int64_t width = t[1].shape[1], last = t[3].shape[1], first = t[1].shape[0];
                Shape shape = t[0].shape;
                shape.back() = last;
                Array y = Array::zeros(shape);
                for (int64_t r = 0; r < shape.product() / last; ++r) {
                  for (int64_t c = 0; c < last; ++c) y[r * last + c] = t[4][c];
                  for (int64_t h = 0; h < width; ++h) {
                    double v = t[2][h];
                    for (int64_t i = 0; i < first; ++i)
                      v += t[0][r * first + i] * t[1][i * width + h];
                    v *= 0.5 * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
                    for (int64_t c = 0; c < last; ++c) y[r * last + c] += v * t[3][h * last + c];
                  }
                }
                return y;
              },
          .tolerance = 1e-5,
          .roundings = 4,  // the hidden layer's before and after gelu, of several terms
          .differentiable_once = "feed_forward",
          .empty_shapes = {{none, {none.back(), hidden}, {hidden}, {hidden, out}, {out}}}};
}

/// The logits are the result of an op, as they must be; addition keeps none of its operands.
/// `padding` more columns stand behind those of the classes.
OpCase cross_entropy_inplace_case(const std::string& name, const Shape& rows, DType ids,
                                  int64_t ignored, int64_t padding = 0) {
  constexpr int64_t kClasses = 5;
  Shape logits = rows, none = rows, one = Dims::filled(rows.rank(), 1);
  const int64_t width = kClasses + padding;
  logits.push_back(width);
  none[0] = 0;
  Shape no_logits = none, one_logits = one;
  no_logits.push_back(width);
  one_logits.push_back(width);
  return {.name = "cross_entropy_inplace_" + name,
          .inputs = {real(logits), integers(rows, 0, kClasses, ids)},
          .op =
              [=](const Tensors& in) {
                const int64_t classes = padding > 0 ? kClasses : 0;
                return cross_entropy_inplace(in[0] + 0.0, in[1], ignored, classes);
              },
          .reference =
              [=](const Arrays& in) {
                double sum = 0, count = 0;
                for (int64_t r = 0; r < in[1].shape.product(); ++r) {
                  const auto target = static_cast<int64_t>(in[1][r]);
                  if (target == ignored) continue;
                  double exponentials = 0;
                  for (int64_t c = 0; c < kClasses; ++c) {
                    exponentials += std::exp(in[0][r * width + c]);
                  }
                  sum += std::log(exponentials) - in[0][r * width + target];
                  count += 1;
                }
                return Array{{}, {sum / count}};
              },
          .widens = true,
          .differentiable_once = "cross_entropy_inplace",
          .empty_shapes = {{no_logits, none}},
          .one_shapes = {{one_logits, one}}};
}

}  // namespace

std::vector<OpCase> fused_cases() {
  return {
      residual_case(Norm::kLayer, "both", {4, 7}, Parts::kBoth),
      residual_case(Norm::kLayer, "batch", {2, 3, 19}, Parts::kBoth),
      residual_case(Norm::kLayer, "normalised_only", {3, 4}, Parts::kNormalised),
      residual_case(Norm::kLayerWithoutBeta, "without_beta", {3, 16}, Parts::kBoth),
      residual_case(Norm::kRms, "both", {4, 7}, Parts::kBoth),
      residual_case(Norm::kRms, "batch", {2, 3, 16}, Parts::kBoth),
      residual_case(Norm::kRms, "many_rows", {50, 3}, Parts::kBoth),
      residual_case(Norm::kRms, "normalised_only", {3, 4}, Parts::kNormalised),
      feed_forward_case("matrix", {5, 3}, 8, 4),
      feed_forward_case("ragged", {2, 3, 4}, 7, 3),
      feed_forward_case("vector", {6}, 8, 2),
      cross_entropy_inplace_case("rows", {7}, DType::kI64, -100),
      cross_entropy_inplace_case("batch_i32", {2, 3}, DType::kI32, -100),
      cross_entropy_inplace_case("ignoring", {9}, DType::kI64, 2),
      cross_entropy_inplace_case("padded", {2, 4}, DType::kI64, 1, 3),
  };
}

}  // namespace trireme::testing

// Rows of the fused ops: the same references as the ops they join.

#include <cmath>

#include "core/ops/ops.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

/// Both results of residual_layer_norm as one tensor, weighted so that neither hides the other, or
/// the normalised one alone: then the sum has no gradient of its own. (The sum alone:
/// fused_test.cc.)
enum class Parts { kBoth, kNormalised };

OpCase residual_case(const std::string& name, const Shape& shape, Parts parts) {
  constexpr double kEps = 1e-3;
  const double of_sum = parts == Parts::kNormalised ? 0 : 1, of_y = 3;
  const Shape features{shape.back()};
  Shape none = shape;
  none[0] = 0;
  return {.name = "residual_layer_norm_" + name,
          .inputs = {real(shape), real(shape), real(features), real(features)},
          .op =
              [=](const Tensors& in) {
                const auto [sum, y] = residual_layer_norm(in[0], in[1], in[2], in[3], kEps);
                return parts == Parts::kNormalised ? y * of_y : sum + y * of_y;
              },
          .reference =
              [=](const Arrays& in) {
                Array result = in[0];
                const int64_t n = in[0].shape.back();
                for (int64_t at = 0; at < result.shape.product(); at += n) {
                  double mean = 0, var = 0;
                  const auto sum = [&](int64_t i) { return in[0][at + i] + in[1][at + i]; };
                  for (int64_t i = 0; i < n; ++i) mean += sum(i) / double(n);
                  for (int64_t i = 0; i < n; ++i) var += std::pow(sum(i) - mean, 2) / double(n);
                  for (int64_t i = 0; i < n; ++i) {
                    const double y = (sum(i) - mean) / std::sqrt(var + kEps) * in[2][i] + in[3][i];
                    result[at + i] = of_sum * sum(i) + of_y * y;
                  }
                }
                return result;
              },
          .tolerance = 1e-5,
          .roundings = 4,  // the sum, its normal form, and the two products that join them
          .empty_shapes = {{none, none, features, features}}};
}

OpCase bias_gelu_case(const std::string& name, const Shape& shape) {
  const Shape features{shape.back()};
  Shape none = shape;
  none[0] = 0;
  return {.name = "bias_gelu_" + name,
          .inputs = {real(shape), real(features)},
          .op = [](const Tensors& in) { return bias_gelu(in[0], in[1]); },
          .reference = elementwise([](double x, double bias) {
            const double v = x + bias;
            return 0.5 * v * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
          }),
          .empty_shapes = {{none, features}}};
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
          .empty_shapes = {{no_logits, none}},
          .one_shapes = {{one_logits, one}}};
}

}  // namespace

std::vector<OpCase> fused_cases() {
  return {
      residual_case("both", {4, 7}, Parts::kBoth),
      residual_case("batch", {2, 3, 19}, Parts::kBoth),
      residual_case("normalised_only", {3, 4}, Parts::kNormalised),
      bias_gelu_case("matrix", {5, 19}),
      bias_gelu_case("batch", {2, 3, 8}),
      cross_entropy_inplace_case("rows", {7}, DType::kI64, -100),
      cross_entropy_inplace_case("batch_i32", {2, 3}, DType::kI32, -100),
      cross_entropy_inplace_case("ignoring", {9}, DType::kI64, 2),
      cross_entropy_inplace_case("padded", {2, 4}, DType::kI64, 1, 3),
  };
}

}  // namespace trireme::testing

// What the op table cannot say of the fused ops: results that nobody uses, logits that are gone.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/autograd/backward.h"
#include "core/autograd/no_grad.h"
#include "core/ops/ops.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

Tensor leaf(const std::vector<float>& values, const Shape& shape) {
  Tensor x = from_vector(values, shape);
  x.set_requires_grad(true);
  return x;
}

struct Operands {
  Tensor x = leaf({1, 2, 3, 5}, {2, 2});
  Tensor residual = leaf({4, 3, 2, 2}, {2, 2});
  Tensor gamma = leaf({1, 2}, {2});
  Tensor beta = leaf({0, 1}, {2});
};

TEST(ResidualLayerNorm, SumAloneGivesTheOperandsTheirGradientAndTheFactorsNone) {
  const Operands in;
  const NormalisedSum result = residual_layer_norm(in.x, in.residual, in.gamma, in.beta);
  backward(sum(result.sum * 2.0));
  EXPECT_EQ(in.x.grad().to_vector<float>(), (std::vector<float>{2, 2, 2, 2}));
  EXPECT_EQ(in.residual.grad().to_vector<float>(), (std::vector<float>{2, 2, 2, 2}));
  EXPECT_FALSE(in.gamma.grad().defined());
}

TEST(ResidualRmsNorm, GivesTheSumAndItsNormWithAndWithoutAFactor) {
  const Operands in;
  for (const Tensor& gamma : {in.gamma, Tensor()}) {
    const NormalisedSum result = residual_rms_norm(in.x, in.residual, gamma, 1e-3);
    EXPECT_EQ(result.sum.to_vector<float>(), (in.x + in.residual).to_vector<float>());
    EXPECT_EQ(result.y.to_vector<float>(), rms_norm(result.sum, gamma, 1e-3).to_vector<float>());
    EXPECT_EQ(result.y.grad_fn_name(), "residual_rms_norm");
  }
  EXPECT_THAT(message_of([&] { residual_rms_norm(in.x, in.gamma, in.gamma); }),
              ::testing::StartsWith("residual_rms_norm: x and residual must both be"));
}

TEST(ResidualLayerNorm, RunsTwiceWhereTheGraphIsKept) {
  const Operands in;
  const NormalisedSum result = residual_layer_norm(in.x, in.residual, in.gamma, in.beta);
  const Tensor y = sum(result.y * result.sum);
  backward(y, {.retain_graph = true});
  const auto once = in.gamma.grad().to_vector<float>(), dx = in.x.grad().to_vector<float>();
  backward(y);
  for (size_t i = 0; i < once.size(); ++i) {
    EXPECT_FLOAT_EQ(in.gamma.grad().to_vector<float>()[i], 2 * once[i]);
  }
  for (size_t i = 0; i < dx.size(); ++i) {
    EXPECT_FLOAT_EQ(in.x.grad().to_vector<float>()[i], 2 * dx[i]);
  }
}

TEST(ResidualLayerNorm, NamesTheShapesThatDiffer) {
  const Operands in;
  EXPECT_EQ(message_of([&] { residual_layer_norm(in.x, in.gamma, in.gamma, in.beta); }),
            "residual_layer_norm: x and residual must both be [.., features], got [2, 2] and [2]");
  EXPECT_THAT(message_of([&] { residual_layer_norm(in.x, in.residual, in.x, in.beta); }),
              HasSubstr("gamma must be [2]"));
}

TEST(CrossEntropyInplace, RefusesLeavesAndASecondBackward) {
  const Tensor weight = leaf({1, 2, 3, 5}, {2, 2});
  const Tensor targets = from_vector<int64_t>({0, 1}, {2});
  EXPECT_THAT(message_of([&] { cross_entropy_inplace(weight, targets); }), HasSubstr("not a leaf"));
  const Tensor loss = cross_entropy_inplace(weight + 1.0, targets);
  backward(loss, {.retain_graph = true});
  EXPECT_THAT(message_of([&] { backward(loss); }), HasSubstr("taken already"));
}

TEST(CrossEntropyInplace, OpsThatKeptTheLogitsSaySo) {
  const Tensor weight = leaf({1, 2, 3, 5}, {2, 2});
  const Tensor logits = tanh(weight);  // keeps its result
  const Tensor loss = cross_entropy_inplace(logits, from_vector<int64_t>({0, 1}, {2}));
  EXPECT_THAT(message_of([&] { backward(loss); }), HasSubstr("tanh"));
}

TEST(CrossEntropyInplace, PaddingGetsNoGradientAndIsNoTarget) {
  const Tensor weight = leaf({1, 2, 30, 5, 3, 40}, {2, 3});
  const Tensor logits = weight + 0.0;
  const Tensor loss = cross_entropy_inplace(logits, from_vector<int64_t>({0, 1}, {2}), -100, 2);
  const auto gradient = logits.detach().to_vector<float>();  // stands there before backward
  EXPECT_EQ(gradient[2], 0);
  EXPECT_EQ(gradient[5], 0);
  EXPECT_LT(gradient[0], -0.1);
  const Tensor targets = from_vector<int64_t>({0, 2}, {2});
  EXPECT_EQ(message_of([&] { cross_entropy_inplace(weight + 0.0, targets, -100, 2); }),
            "cross_entropy_inplace: target must lie in [0, 2), got 2 at position 1");
  EXPECT_EQ(message_of([&] { cross_entropy_inplace(weight + 0.0, targets, -100, 4); }),
            "cross_entropy_inplace: classes must be in [0, 3] for logits of [2, 3], got 4");
}

TEST(CrossEntropyInplace, LeavesTheLogitsAloneWhereNothingIsRecorded) {
  const NoGrad no_grad;
  const Tensor logits = from_vector<float>({1, 2, 3, 5}, {2, 2});
  cross_entropy_inplace(logits, from_vector<int64_t>({0, 1}, {2}));
  EXPECT_EQ(logits.to_vector<float>(), (std::vector<float>{1, 2, 3, 5}));
}

TEST(FeedForward, NamesTheShapes) {
  const Tensor x = zeros({2, 3}), inner = zeros({3, 8}), shift = zeros({8}), out = zeros({2});
  EXPECT_EQ(message_of([&] {
              feed_forward(x, inner, shift, zeros({7, 2}), out);
            }),
            "feed_forward: weight2 must be [8, out] behind a weight1 of [3, 8], got [7, 2]");
  EXPECT_EQ(message_of([&] {
              feed_forward(x, inner, shift, zeros({8, 4}), out);
            }),
            "feed_forward: bias2 must be f32[4], got f32[2]");
  EXPECT_THAT(message_of([&] {
                feed_forward(x, inner, out, zeros({8, 2}), out);
              }),
              HasSubstr("feed_forward: bias must be [8]"));
}

}  // namespace
}  // namespace trireme

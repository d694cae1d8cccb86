#include "core/optim/clip.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/autograd/gradient_slot.h"
#include "core/ops/ops.h"
#include "core/optim/adam.h"
#include "core/optim/sgd.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::ThrowsMessage;

constexpr double kInf = std::numeric_limits<double>::infinity();

// Parameters with these gradients, f64 and f32, and one without any.
StateDict with_gradients(const std::vector<double>& first, const std::vector<float>& second) {
  const Tensor a = zeros({static_cast<int64_t>(first.size())}, {DType::kF64}).set_requires_grad();
  const Tensor b = zeros({static_cast<int64_t>(second.size())}).set_requires_grad();
  set_gradient(a, from_vector(first, a.shape()));
  set_gradient(b, from_vector(second, b.shape()));
  return {{"a", a}, {"b", b}, {"none", zeros({3}).set_requires_grad()}};
}

TEST(GradNorm, IsTheNormOverAllGradients) {
  EXPECT_DOUBLE_EQ(grad_norm(with_gradients({3, -4}, {12})), 13);
  EXPECT_EQ(grad_norm({{"none", zeros({3}).set_requires_grad()}}), 0);
  EXPECT_EQ(grad_norm({}), 0);
}

TEST(GradNorm, DoesNotOverflowInF32) {
  EXPECT_NEAR(grad_norm(with_gradients({0}, {3e30f, 4e30f})), 5e30, 1e24);
}

TEST(GradNorm, IsNotFiniteExactlyWhenAGradientIsNot) {
  EXPECT_TRUE(std::isnan(grad_norm(with_gradients({1, std::nan("")}, {1}))));
  EXPECT_EQ(grad_norm(with_gradients({1}, {-std::numeric_limits<float>::infinity()})), kInf);
}

double factor_for(double norm, double max_norm, double loss_scale = 1) {
  return clip_grad_norm(with_gradients({norm}, {0}), max_norm, loss_scale).factor.item();
}

TEST(ClipGradNorm, BringsTheNormDownAndNeverUp) {
  EXPECT_DOUBLE_EQ(factor_for(10, 2.5), 0.25);
  EXPECT_EQ(factor_for(2.5, 2.5), 1);
  EXPECT_EQ(factor_for(0, 2.5), 1);
  EXPECT_EQ(factor_for(10, 0), 1);
  EXPECT_EQ(factor_for(10, -1), 1);
  EXPECT_EQ(clip_grad_norm({}, 1).factor.item(), 1);
}

TEST(ClipGradNorm, TakesAwayTheLossScale) {
  const GradientNorm g = clip_grad_norm(with_gradients({3 * 8, -4 * 8}, {0}), 2.5, 8);
  EXPECT_DOUBLE_EQ(g.norm.item(), 5);
  EXPECT_DOUBLE_EQ(g.factor.item(), 0.5 / 8);
  EXPECT_DOUBLE_EQ(factor_for(8, 2.5, 8), 1.0 / 8);
  EXPECT_THAT([] { clip_grad_norm({}, 1, 0); },
              ThrowsMessage<InvalidArgument>("clip_grad_norm: loss_scale must be positive, got 0"));
}

TEST(ClipGradNorm, LetsAnOptimizerLeaveOutGradientsThatAreNotFinite) {
  EXPECT_EQ(factor_for(kInf, 1), 0);
  EXPECT_EQ(factor_for(std::nan(""), 0), 0);
  const StateDict parameters = with_gradients({1, std::nan("")}, {1});
  AdamW optimizer({{parameters, {}}}, {.lr = 1});
  optimizer.step(clip_grad_norm(parameters, 1).factor);
  EXPECT_THAT(parameters[0].second.to_vector<double>(), ElementsAre(0, 0));
  EXPECT_THAT(parameters[1].second.to_vector<float>(), ElementsAre(0));
}

TEST(ClipGradNorm, DoesWithGradientsThatAreNotFiniteAsItIsTold) {
  const StateDict finite = with_gradients({3, -4}, {0});
  for (NonFinite policy : {NonFinite::kSkip, NonFinite::kError, NonFinite::kIgnore}) {
    EXPECT_DOUBLE_EQ(clip_grad_norm(finite, 2.5, 1, policy).factor.item(), 0.5);
  }
  const StateDict bad = with_gradients({1, 2}, {3, static_cast<float>(kInf)});
  EXPECT_EQ(clip_grad_norm(bad, 1, 4, NonFinite::kSkip).factor.item(), 0);
  EXPECT_EQ(clip_grad_norm(bad, 1, 4, NonFinite::kIgnore).factor.item(), 0.25);
  EXPECT_THAT(
      [&] { clip_grad_norm(bad, 1, 4, NonFinite::kError); },
      ThrowsMessage<Error>("clip_grad_norm: gradients must be finite, the norm of b's is inf"));
  // What is applied as it is harms only what it belongs to.
  Sgd optimizer({{bad, {}}}, {.lr = 1});
  optimizer.step(clip_grad_norm(bad, 1, 1, NonFinite::kIgnore).factor);
  EXPECT_THAT(bad[0].second.to_vector<double>(), ElementsAre(-1, -2));
  EXPECT_THAT(bad[1].second.to_vector<float>(), ElementsAre(-3, -kInf));
}

TEST(ClipGradValue, TakesInfinitiesForLargeAndLeavesNan) {
  const StateDict parameters = with_gradients({kInf, -kInf, std::nan("")}, {0});
  clip_grad_value(parameters, 2);
  const auto values = parameters[0].second.grad().to_vector<double>();
  EXPECT_EQ(values[0], 2);
  EXPECT_EQ(values[1], -2);
  EXPECT_TRUE(std::isnan(values[2]));
}

TEST(ClipGradValue, LimitsEveryElementInPlace) {
  const StateDict parameters = with_gradients({-5, 0.5, 2}, {9});
  const Tensor grad = parameters[0].second.grad();
  clip_grad_value(parameters, 2);
  EXPECT_THAT(grad.to_vector<double>(), ElementsAre(-2, 0.5, 2));
  EXPECT_THAT(parameters[1].second.grad().to_vector<float>(), ElementsAre(2));
  EXPECT_FALSE(parameters[2].second.grad().defined());
}

TEST(ClipGradValue, NeedsALimit) {
  EXPECT_THAT([] { clip_grad_value({}, 0); },
              ThrowsMessage<InvalidArgument>("clip_grad_value: limit must be positive, got 0"));
}

TEST(ClipGradNorm, NeedsALimitThatIsANumber) {
  EXPECT_THAT([] { clip_grad_norm({}, std::nan("")); },
              ThrowsMessage<InvalidArgument>("clip_grad_norm: max_norm must be a number, got nan"));
}

}  // namespace
}  // namespace trireme

// Losses and activations at extreme values, and their errors.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd/backward.h"
#include "core/ops/ops.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;

constexpr float kInf = INFINITY;

/// Values and gradients of an activation at the ends of f32, where they must not become NaN by an
/// infinity times nothing.
void expect_at(Tensor (*op)(const Tensor&), const std::vector<float>& at,
               const std::vector<float>& values, const std::vector<float>& slopes) {
  Tensor x = from_vector(at, {static_cast<int64_t>(at.size())}).set_requires_grad();
  const Tensor y = op(x);
  backward(sum(y));
  EXPECT_EQ(y.to_vector<float>(), values);
  EXPECT_EQ(x.grad().to_vector<float>(), slopes);
}

TEST(Activations, AreExactFarFromZero) {
  expect_at(silu, {-1e4f, 0, 1e4f, 1e38f}, {0, 0, 1e4f, 1e38f}, {0, 0.5f, 1, 1});
  expect_at([](const Tensor& x) { return elu(x); }, {-kInf, -1e4f, 1e38f, kInf},
            {-1, -1, 1e38f, kInf}, {0, 0, 1, 1});
  expect_at([](const Tensor& x) { return softplus(x); }, {-kInf, -1e4f, 1e38f, kInf},
            {0, 0, 1e38f, kInf}, {0, 0, 1, 1});
  expect_at([](const Tensor& x) { return leaky_relu(x, 0.5); }, {-kInf, -2, 0, kInf},
            {-kInf, -1, 0, kInf}, {0.5f, 0.5f, 0.5f, 1});
  expect_at(mish, {-1e4f, 0, 1e4f, 1e38f}, {0, 0, 1e4f, 1e38f}, {0, 0.6f, 1, 1});
}

TEST(Activations, KeepTheirDigitsNearZeroAndFarBelow) {
  const Tensor x = from_vector<float>({1e-6f, -1e-6f, -20, -40}, {4});
  const auto elus = elu(x).to_vector<float>();
  EXPECT_NEAR(elus[1], std::expm1(-1e-6), 1e-13);
  const auto softs = softplus(x).to_vector<float>();
  for (size_t i : {2u, 3u}) {
    const double want = std::log1p(std::exp(x.to_vector<double>()[i]));
    EXPECT_NEAR(softs[i], want, 1e-6 * want) << i;
  }
}

TEST(Activations, PassNanOn) {
  const Tensor x = full({3}, NAN);
  for (const Tensor& y : {silu(x), elu(x), softplus(x), leaky_relu(x), mish(x),
                          swiglu(x, ones({3})), swiglu(ones({3}), x)}) {
    EXPECT_TRUE(std::isnan(y.to_vector<float>()[0]));
  }
}

TEST(Losses, StayFiniteForLargeLogits) {
  Tensor x = from_vector<float>({-1e4f, 1e4f, -1e4f, 1e4f}, {4}).set_requires_grad();
  const Tensor t = from_vector<float>({0, 1, 1, 0}, {4});
  const Tensor each = binary_cross_entropy_with_logits(x, t, {.reduction = Reduction::kNone});
  EXPECT_THAT(each.to_vector<float>(), ElementsAre(0, 0, 1e4f, 1e4f));
  backward(sum(each));
  EXPECT_THAT(x.grad().to_vector<float>(), ElementsAre(0, 0, -1, 1));
  EXPECT_THAT(kl_div(zeros({2}), zeros({2})).to_vector<float>(), ElementsAre(0));
}

TEST(Losses, OfALogitOfMinusInfinityAreInfiniteWhereItsTargetIsAbove0) {
  const float inf = std::numeric_limits<float>::infinity();
  Tensor x = from_vector<float>({-inf, -inf}, {2}).set_requires_grad();
  const Tensor t = from_vector<float>({0.5f, 1}, {2});
  const Tensor each = binary_cross_entropy_with_logits(x, t, {.reduction = Reduction::kNone});
  EXPECT_THAT(each.to_vector<float>(), ElementsAre(inf, inf));
  backward(sum(each));
  EXPECT_THAT(x.grad().to_vector<float>(), ElementsAre(-0.5f, -1));
}

TEST(Losses, OfNothingThatCountsAreNan) {
  const Tensor targets = full({3}, -100, {DType::kI64});
  Tensor x = zeros({3, 4}).set_requires_grad();
  const Tensor loss = cross_entropy(x, targets, CrossEntropyOptions{.label_smoothing = 0.1});
  EXPECT_TRUE(std::isnan(loss.item()));
  EXPECT_EQ(nll_loss(x, targets, {.reduction = Reduction::kSum}).item(), 0);
}

TEST(Losses, ASmoothedLossOfNothingElseIsTheFastOne) {
  Generator generator(3);
  const Tensor x = randn({5, 7}, generator);
  const Tensor targets = from_vector<int64_t>({1, 2, 3, 6, 0}, {5});
  EXPECT_EQ(cross_entropy(x, targets, CrossEntropyOptions{}).item(),
            cross_entropy(x, targets).item());
}

TEST(Losses, NameWhatDoesNotFit) {
  const Tensor x = zeros({2, 3}), ids = zeros({2}, {DType::kI64});
  EXPECT_THAT(
      message_of([&] { mse_loss(x, zeros({3})); }),
      HasSubstr("mse_loss: targets must have the shape of the predictions, [2, 3], got [3]"));
  EXPECT_THAT(message_of([&] { huber_loss(x, x, 0); }),
              HasSubstr("huber_loss: delta must be positive, got 0"));
  EXPECT_THAT(message_of([&] { smooth_l1_loss(x, x, -1); }),
              HasSubstr("smooth_l1_loss: beta must not be negative, got -1"));
  EXPECT_THAT(message_of([&] { nll_loss(x, full({2}, 3, {DType::kI64})); }),
              HasSubstr("nll_loss: target must lie in [0, 3), got 3 at position 0"));
  EXPECT_THAT(message_of([&] { nll_loss(x, ids, {.weight = ones({2})}); }),
              HasSubstr("nll_loss: weight must be [3] for [2, 3], got [2]"));
  EXPECT_THAT(
      message_of([&] { cross_entropy(x, ids, CrossEntropyOptions{.label_smoothing = 1.5}); }),
      HasSubstr("cross_entropy: label_smoothing must be in [0, 1], got 1.5"));
  EXPECT_EQ(message_of([&] {
              cross_entropy(x, ids, CrossEntropyOptions{.weight = ones({3}, {DType::kI64})});
            }),
            "cross_entropy: weight must be f32 as the logits are, got i64; convert with to()");
  EXPECT_EQ(message_of([&] { cross_entropy_inplace(x, zeros({3}, {DType::kI64})); }),
            "cross_entropy_inplace: targets must be [2] for logits of [2, 3], got [3]");
  EXPECT_THAT(
      message_of([&] { binary_cross_entropy_with_logits(x, x, {.pos_weight = ones({2})}); }),
      HasSubstr("[2]"));
  EXPECT_THAT(message_of([&] {
                glu(zeros({2, 3}));
              }),
              HasSubstr("glu: dimension 1 must be even, got shape [2, 3]"));
  EXPECT_THAT(message_of([&] { swiglu(x, zeros({3})); }),
              HasSubstr("swiglu: gate and x must have one shape, got [2, 3] and [3]"));
  EXPECT_THAT(message_of([&] { softplus(x, 0); }), HasSubstr("softplus: beta must be positive"));
  EXPECT_THAT(message_of([&] { group_norm(x, 2, {}, {}); }),
              HasSubstr("group_norm: 2 groups must divide the channels of x [2, 3]"));
}

}  // namespace
}  // namespace trireme

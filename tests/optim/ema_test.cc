#include "core/optim/ema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/autograd/backward.h"
#include "core/autograd/no_grad.h"
#include "core/checkpoint/load_state.h"
#include "core/ops/ops.h"
#include "core/optim/adam.h"

namespace trireme {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::ThrowsMessage;

void set(const Tensor& weight, double value) {
  const NoGrad no_grad;
  fill_inplace(weight, value);
}
std::vector<double> values_of(const Tensor& x) {
  return to(x.detach(), DType::kF64).to_vector<double>();
}
std::vector<double> average(const ExponentialMovingAverage& ema, size_t i = 0) {
  return values_of(ema.averages().at(i).second);
}

TEST(Ema, MovesTowardsTheWeights) {
  const Tensor w = full({3}, 1, {DType::kF64}).set_requires_grad();
  ExponentialMovingAverage ema({{"w", w}}, {.decay = 0.75});
  EXPECT_THAT(average(ema), Each(1));
  set(w, 5);
  ema.update();
  EXPECT_THAT(average(ema), Each(2));
  ema.update();
  EXPECT_THAT(average(ema), Each(2.75));
  EXPECT_THAT(values_of(w), Each(5));
}

TEST(Ema, ForgetsTheBeginningSoonerWithAWarmUp) {
  const Tensor w = full({3}, 1, {DType::kF64});
  ExponentialMovingAverage ema({{"w", w}}, {.decay = 0.9, .warm_up = true});
  set(w, 12);
  ema.update();  // decay 2 / 11
  EXPECT_NEAR(average(ema)[0], 12 - 11 * 2.0 / 11, 1e-12);
  double left = 2.0 / 11;
  for (int n = 2; n <= 200; ++n) {
    ema.update();
    left *= std::min(0.9, (1.0 + n) / (10.0 + n));
  }
  EXPECT_NEAR(12 - average(ema)[0], 11 * left, 1e-10);
}

TEST(Ema, AveragesEveryFloatingDtypeIn32BitsOrMore) {
  StateDict weights;
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF64, DType::kF16, DType::kF32}) {
    weights.emplace_back("w" + std::to_string(weights.size()), ones({5}, {dtype}));
  }
  weights.emplace_back("count", ones({}, {DType::kI64}));
  ExponentialMovingAverage ema(weights, {.decay = 0.999});
  const StateDict averages = ema.averages();
  ASSERT_EQ(averages.size(), 5u);
  EXPECT_EQ(averages[1].second.dtype(), DType::kF32);
  EXPECT_EQ(averages[2].second.dtype(), DType::kF64);
  for (size_t i = 0; i < 5; ++i) set(weights[i].second, 2);
  ema.update();
  for (size_t i = 0; i < 5; ++i) EXPECT_NEAR(average(ema, i)[0], 1.001, 1e-7) << i;
}

TEST(Ema, IsInTheModelWhileApplied) {
  const Tensor w = full({2}, 1).set_requires_grad();
  ExponentialMovingAverage ema({{"w", w}}, {.decay = 0.5});
  set(w, 3);
  ema.update();
  {
    const auto applied = ema.apply();
    EXPECT_THAT(values_of(w), Each(2));
    EXPECT_TRUE(w.requires_grad());
  }
  EXPECT_THAT(values_of(w), Each(3));
  EXPECT_THAT(average(ema), Each(2));
}

TEST(Ema, LeavesMastersTheirDigits) {
  const auto train = [](bool applies) {
    Tensor w = full({4}, 1, {DType::kBF16});
    w.set_requires_grad();
    AdamW optimizer({{{{"w", w}}, {}}}, {.lr = 1e-4});
    ExponentialMovingAverage ema({{"w", w}});
    for (int i = 0; i < 100; ++i) {
      optimizer.zero_grad();
      backward(sum(to(w, DType::kF32)));
      optimizer.step();
      ema.update();
      if (applies) {
        const auto applied = ema.apply();
      }
    }
    return values_of(optimizer.state_dict()[0].second);
  };
  EXPECT_EQ(train(true), train(false));
  EXPECT_NEAR(train(true)[0], 0.99, 1e-4);
}

TEST(Ema, ContinuesFromItsState) {
  const Tensor w = full({2}, 1, {DType::kF64});
  ExponentialMovingAverage ema({{"w", w}}, {.warm_up = true});
  set(w, 2);
  for (int i = 0; i < 3; ++i) ema.update();
  ExponentialMovingAverage restored({{"w", w}}, {.warm_up = true});
  load_state(restored.state_dict(), ema.state_dict());
  ema.update();
  restored.update();
  EXPECT_EQ(average(restored), average(ema));
  std::vector<std::string> names;
  for (const auto& [name, tensor] : ema.state_dict()) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("ema.w", "ema.updates"));
}

TEST(Ema, RefusesWhatItCannotAverage) {
  EXPECT_THAT([] { ExponentialMovingAverage({}, {.decay = 1}); },
              ThrowsMessage<InvalidArgument>("ema: decay must be in [0, 1), got 1"));
  EXPECT_THAT(
      [] {
        ExponentialMovingAverage({{"w", transpose(ones({2, 3}), 0, 1)}});
      },
      ThrowsMessage<InvalidArgument>("ema: weights must be contiguous, 'w' is not"));
  EXPECT_THAT(
      [] {
        ExponentialMovingAverage({{"w", Tensor()}});
      },
      ThrowsMessage<InvalidArgument>("ema: weights must be defined, 'w' is not"));
}

}  // namespace
}  // namespace trireme

// What every optimizer promises: masters, factors on the gradient, steps that are left out,
// schedules on the device, checkpoints, stochastic rounding.

#include "tests/optim/every_optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd/backward.h"
#include "core/autograd/no_grad.h"
#include "core/checkpoint/load_state.h"
#include "core/ops/ops.h"

namespace trireme {
namespace {

using namespace testing;
using ::testing::HasSubstr;

/// A matrix, filters and a vector, and the bowl that they descend.
struct Problem {
  Problem(const std::string& rule, DType dtype, MasterWeights master = MasterWeights::kF32) {
    Generator generator(11);
    const auto draw = [&](const Shape& shape, DType in) {
      return clone_detached(cast(randn(shape, generator), in));
    };
    for (const Shape& shape : {Shape{16, 9}, Shape{4, 3, 3, 2}, Shape{9}}) {
      model.emplace_back("p" + std::to_string(model.size()), draw(shape, dtype));
      model.back().second.set_requires_grad();
      goals.push_back(draw(shape, DType::kF32));
    }
    optimizer = every_optimizer().at(rule)(model, master, 0.1);
  }
  double loss() const {
    const NoGrad no_grad;
    return loss_tensor().item();
  }
  Tensor loss_tensor() const {
    Tensor loss = zeros({});
    for (size_t i = 0; i < model.size(); ++i) {
      loss = loss + mean(square(to(model[i].second, DType::kF32) - goals[i]));
    }
    return loss;
  }
  void steps(int count, double factor = 1) {
    for (int i = 0; i < count; ++i) {
      optimizer->zero_grad();
      backward(loss_tensor() * 4);
      optimizer->step(full({}, factor, {DType::kF64}));
    }
  }
  std::vector<float> values() const {
    std::vector<float> all;
    for (const auto& [name, p] : model) {
      for (float v : to(p.detach(), DType::kF32).to_vector<float>()) all.push_back(v);
    }
    return all;
  }
  std::vector<double> state() const {
    std::vector<double> all;
    for (const auto& [name, s] : optimizer->state_dict()) {
      if (name.starts_with("updates.")) continue;
      for (double v : to(s, DType::kF64).to_vector<double>()) all.push_back(v);
    }
    return all;
  }
  StateDict model;
  std::vector<Tensor> goals;
  std::unique_ptr<Optimizer> optimizer;
};

class EveryOptimizer : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Optimizers, EveryOptimizer, ::testing::ValuesIn(names_of_optimizers()),
                         [](const auto& instance) { return instance.param; });

TEST_P(EveryOptimizer, Descends) {
  for (DType dtype : {DType::kF64, DType::kF32, DType::kBF16, DType::kF16}) {
    Problem problem(GetParam(), dtype);
    const double before = problem.loss();
    problem.steps(30);
    EXPECT_LT(problem.loss(), 0.9 * before) << dtype;
  }
}

TEST_P(EveryOptimizer, StepsMastersAsF32Weights) {
  Problem half(GetParam(), DType::kBF16), f32(GetParam(), DType::kF32);
  load_state(f32.model, half.model);
  half.steps(1);
  f32.steps(1);
  // The gradients are those of the same weights, rounded to bf16: signs and sizes agree.
  const auto state = half.optimizer->state_dict();
  double most = 0, moved = 0;
  size_t checked = 0;
  for (const auto& [name, master] : state) {
    if (!name.starts_with("master.")) continue;
    const auto& [key, p] = f32.model[checked++];
    ASSERT_EQ("master." + key, name);
    const auto a = master.to_vector<float>(), b = p.to_vector<float>();
    const auto rounded = to(half.model[checked - 1].second.detach(), DType::kF32);
    EXPECT_EQ(rounded.to_vector<float>(),
              to(to(master, DType::kBF16), DType::kF32).to_vector<float>());
    for (size_t i = 0; i < a.size(); ++i) most = std::max<double>(most, std::abs(a[i] - b[i]));
  }
  EXPECT_EQ(checked, 3u);
  const auto before = Problem(GetParam(), DType::kBF16).values(), after = f32.values();
  for (size_t i = 0; i < after.size(); ++i) {
    moved = std::max<double>(moved, std::abs(before[i] - after[i]));
  }
  EXPECT_LT(most, 0.02 * moved);
}

TEST_P(EveryOptimizer, ChangesNothingWhereTheFactorIsZero) {
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    Problem problem(GetParam(), dtype);
    problem.steps(2);
    const auto values = problem.values();
    const auto state = problem.state();
    problem.optimizer->zero_grad();
    backward(problem.loss_tensor() * std::nan(""));
    problem.optimizer->step(zeros({}, {DType::kF64}));
    EXPECT_EQ(problem.values(), values);
    EXPECT_EQ(problem.state(), state);
    problem.steps(1);
    EXPECT_NE(problem.values(), values);
  }
}

TEST_P(EveryOptimizer, ScalesGradientsAsItReadsThem) {
  Problem scaled(GetParam(), DType::kF32), plain(GetParam(), DType::kF32);
  for (int i = 0; i < 3; ++i) {
    scaled.steps(1, 0.25);
    plain.optimizer->zero_grad();
    backward(plain.loss_tensor() * 4 * 0.25);
    plain.optimizer->step();
  }
  EXPECT_EQ(scaled.values(), plain.values());
}

TEST_P(EveryOptimizer, StepsAlikeWithItsScheduleOnTheDevice) {
  Problem kept(GetParam(), DType::kF32), plain(GetParam(), DType::kF32);
  for (int i = 0; i < 4; ++i) {
    if (i == 1) kept.optimizer->keep_schedule_on_device();
    for (Problem* p : {&kept, &plain}) {
      p->optimizer->set_lr(0.01 / (1 + i));
      p->steps(1);
    }
  }
  EXPECT_EQ(kept.values(), plain.values());
}

TEST_P(EveryOptimizer, ContinuesFromItsStateBitForBit) {
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    for (MasterWeights master : {MasterWeights::kF32, MasterWeights::kStochastic}) {
      Problem whole(GetParam(), dtype, master), resumed(GetParam(), dtype, master);
      whole.steps(3);
      load_state(resumed.model, whole.model);
      load_state(resumed.optimizer->state_dict(), whole.optimizer->state_dict());
      whole.steps(3);
      resumed.steps(3);
      EXPECT_EQ(whole.values(), resumed.values());
      EXPECT_EQ(whole.state(), resumed.state());
    }
  }
}

TEST(StochasticRounding, FollowsF32WhereRoundingToNearestStandsStill) {
  // Steps of 1e-3 of weights around 1: a quarter of what bf16 can tell apart there.
  const auto distance_left = [](DType dtype, MasterWeights master) {
    const Tensor w = cast(ones({4096}), dtype).detach();
    Tensor leaf = clone_detached(w);
    leaf.set_requires_grad();
    Sgd optimizer({{{{"w", leaf}}, {}}}, {.lr = 1e-3, .master_weights = master});
    for (int i = 0; i < 400; ++i) {
      optimizer.zero_grad();
      backward(sum(to(leaf, DType::kF32)));
      optimizer.step();
    }
    return mean(to(leaf.detach(), DType::kF32)).item();
  };
  EXPECT_NEAR(distance_left(DType::kF32, MasterWeights::kF32), 0.6, 1e-4);
  EXPECT_EQ(distance_left(DType::kBF16, MasterWeights::kNone), 1);
  EXPECT_NEAR(distance_left(DType::kBF16, MasterWeights::kStochastic), 0.6, 2e-3);
}

TEST(StochasticRounding, KeepsNoMastersAndIsForBf16) {
  Problem problem("adamw", DType::kBF16, MasterWeights::kStochastic);
  for (const auto& [name, state] : problem.optimizer->state_dict()) {
    EXPECT_FALSE(name.starts_with("master.")) << name;
  }
  EXPECT_THAT([] { Problem("adamw", DType::kF16, MasterWeights::kStochastic); },
              ThrowsMessage<InvalidArgument>(HasSubstr("only bf16 is rounded at random")));
  // f32 weights have nothing to round.
  Problem f32("adamw", DType::kF32, MasterWeights::kStochastic);
  Problem plain("adamw", DType::kF32);
  f32.steps(3);
  plain.steps(3);
  EXPECT_EQ(f32.values(), plain.values());
}

}  // namespace
}  // namespace trireme

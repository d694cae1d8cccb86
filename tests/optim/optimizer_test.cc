#include "core/optim/optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd/backward.h"
#include "core/autograd/gradient_slot.h"
#include "core/checkpoint/load_state.h"
#include "core/ops/ops.h"
#include "core/optim/adam.h"
#include "core/optim/sgd.h"
#include "core/tensor/allocator.h"
#include "core/tensor/view.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Tensor parameter(const std::vector<double>& values) {
  return from_vector(values, {static_cast<int64_t>(values.size())}).set_requires_grad();
}
std::vector<double> values_of(const Tensor& x) { return x.to_vector<double>(); }

// One step of an uneven bowl; weights make the gradients of several parameters differ.
void descend(Optimizer& optimizer, const std::vector<Tensor>& parameters) {
  double weight = 0.3;
  for (const Tensor& p : parameters) backward(sum(square(square(p))) * (weight += 0.7));
  optimizer.step();
  optimizer.zero_grad();
}

TEST(Optimizer, GroupsHaveTheirOwnDecayAndRate) {
  const Tensor a = parameter({1}), b = parameter({1});
  Sgd optimizer({{{{"a", a}}, {.weight_decay = 0.5}}, {{{"b", b}}, {.lr_factor = 2}}}, {.lr = 0.1});
  backward(sum(a) + sum(b));
  optimizer.step();
  EXPECT_DOUBLE_EQ(a.item(), 1 - 0.1 * (1 + 0.5));
  EXPECT_DOUBLE_EQ(b.item(), 1 - 0.2);
  optimizer.set_lr(0.01);
  EXPECT_EQ(optimizer.lr(), 0.01);
  optimizer.step();
  EXPECT_DOUBLE_EQ(b.item(), 0.8 - 0.02);
}

TEST(Optimizer, ScalesGradientsAsItReadsThem) {
  const Tensor a = parameter({1, 2}), b = parameter({1, 2});
  Sgd scaled({{{{"a", a}}, {}}}, {.lr = 0.5, .momentum = 0.9});
  Sgd plain({{{{"b", b}}, {}}}, {.lr = 0.5, .momentum = 0.9});
  for (int i = 0; i < 3; ++i) {
    backward(sum(square(a)));
    backward(sum(square(b)) * 0.25);
    scaled.step(full({}, 0.25, {DType::kF64}));
    plain.step();
    scaled.zero_grad();
    plain.zero_grad();
  }
  EXPECT_EQ(values_of(a), values_of(b));
  EXPECT_NE(values_of(a), (std::vector<double>{1, 2}));
}

TEST(Optimizer, AStepThatIsLeftOutDoesNotCount) {
  constexpr double kRate = 0.5, kMomentum = 0.5;
  for (const double dampening : {0.0, 0.25}) {
    const Tensor a = parameter({1, 2});
    Sgd optimizer({{{{"a", a}}, {}}}, {.lr = kRate, .momentum = kMomentum, .dampening = dampening});
    backward(sum(a) * 4.0);
    optimizer.step(zeros({}, {DType::kF64}));
    EXPECT_THAT(values_of(a), ElementsAre(1, 2));
    const StateDict state = optimizer.state_dict();
    EXPECT_EQ(state[0].first, "momentum.a");
    EXPECT_THAT(values_of(state[0].second), ElementsAre(0, 0));
    EXPECT_EQ(state[1].second.item(), 0) << state[1].first;
    const double buffer = 4;  // dampening begins with the second update
    optimizer.step();
    EXPECT_THAT(values_of(a), ElementsAre(1 - kRate * buffer, 2 - kRate * buffer));
    EXPECT_THAT(values_of(state[0].second), ElementsAre(buffer, buffer));
    // From here on it is momentum as ever.
    optimizer.step();
    const double next = kMomentum * buffer + (1 - dampening) * 4;
    EXPECT_THAT(values_of(state[0].second), ElementsAre(next, next));
  }
}

TEST(Optimizer, KeepsOneScheduleForAllParameters) {
  const Tensor a = ones({2}).set_requires_grad(), b = ones({2}).set_requires_grad();
  AdamW optimizer({{{{"a", a}, {"b", b}}, {}}}, AdamOptions{});
  backward(sum(a));
  optimizer.step();
  EXPECT_THAT([&] { optimizer.keep_schedule_on_device(); },
              ThrowsMessage<InvalidArgument>(
                  AllOf(HasSubstr("equally often updated"), HasSubstr("'b' is on cpu and had 0"))));
  optimizer.zero_grad();
  backward(sum(b));
  optimizer.step();
  optimizer.keep_schedule_on_device();
  optimizer.zero_grad();
  backward(sum(b));
  EXPECT_THAT([&] { optimizer.step(); },
              ThrowsMessage<InvalidArgument>(HasSubstr("every parameter needs a gradient, 'a'")));
}

// The CPU is a device, too: the same steps, whoever counts them.
TEST(Optimizer, StepsAlikeWithItsScheduleOnTheDevice) {
  const Tensor a = parameter({1, 2}), b = parameter({1, 2});
  AdamW kept({{{{"p", a}}, {.weight_decay = 0.1}}}, {.lr = 0.1});
  AdamW plain({{{{"p", b}}, {.weight_decay = 0.1}}}, {.lr = 0.1});
  for (int i = 0; i < 4; ++i) {
    if (i == 1) kept.keep_schedule_on_device();
    for (AdamW* optimizer : {&kept, &plain}) {
      optimizer->set_lr(0.1 / (1 + i));
      backward(sum(square(optimizer == &kept ? a : b)));
      optimizer->step();
      optimizer->zero_grad();
    }
  }
  EXPECT_EQ(values_of(a), values_of(b));
  for (const auto& [name, state] : kept.state_dict()) {
    if (name.starts_with("updates.")) {
      EXPECT_EQ(state.item(), 4);
    }
  }
}

TEST(Optimizer, LeavesParametersWithoutGradientAlone) {
  const Tensor used = parameter({1, -2}), unused = parameter({3, 4});
  AdamW optimizer({{{{"used", used}, {"unused", unused}}, {.weight_decay = 0.1}}}, {.lr = 0.1});
  const auto before = values_of(unused);
  for (int i = 0; i < 4; ++i) descend(optimizer, {used});
  EXPECT_EQ(values_of(unused), before);

  // Its first gradient is its first update, whatever the others have done meanwhile.
  const Tensor fresh = parameter({3, 4});
  AdamW reference({{{{"fresh", fresh}}, {.weight_decay = 0.1}}}, {.lr = 0.1});
  descend(optimizer, {unused});
  descend(reference, {fresh});
  EXPECT_EQ(values_of(unused), values_of(fresh));
}

TEST(Optimizer, UsesGradientsThatLiveInASlot) {
  const Tensor a = parameter({1, 2}), slot = zeros({2}, {DType::kF64});
  GradientSlot holder(a);
  holder.set(slot);
  Sgd optimizer({{{{"a", a}}, {}}}, {.lr = 0.5});
  for (int i = 0; i < 2; ++i) {
    backward(sum(a));
    optimizer.step();
    optimizer.zero_grad();
  }
  EXPECT_THAT(values_of(a), ElementsAre(0, 1));
  optimizer.step();  // no gradient since zero_grad
  EXPECT_THAT(values_of(a), ElementsAre(0, 1));
}

TEST(Optimizer, StepCountsAsAChangeInPlace) {
  const Tensor a = parameter({1, 2});
  Sgd optimizer({{{{"a", a}}, {}}}, {.lr = 0.5});
  const Tensor y = sum(square(a));
  backward(sum(a));
  optimizer.step();
  EXPECT_THAT([&] { backward(y); }, ThrowsMessage<InvalidArgument>(HasSubstr("square")));
}

template <typename Make>
void expect_restored_run_continues_alike(const Make& make) {
  const Tensor a = parameter({1, -2}), b = parameter({0.5});
  const auto whole = make(StateDict{{"a", a}, {"b", b}});
  for (int i = 0; i < 3; ++i) descend(*whole, {a, b});

  // Loaded into parameters given in another order.
  const Tensor a2 = parameter(values_of(a)), b2 = parameter(values_of(b));
  const auto resumed = make(StateDict{{"b", b2}, {"a", a2}});
  load_state(resumed->state_dict(), whole->state_dict());
  for (int i = 0; i < 3; ++i) {
    descend(*whole, {a, b});
    descend(*resumed, {a2, b2});
  }
  EXPECT_EQ(values_of(a), values_of(a2));
  EXPECT_EQ(values_of(b), values_of(b2));
}

TEST(Optimizer, RestoredStateContinuesBitForBit) {
  expect_restored_run_continues_alike([](const StateDict& p) {
    return std::make_unique<AdamW>(std::vector{ParameterGroup{p, {.weight_decay = 0.1}}},
                                   AdamOptions{.lr = 0.05});
  });
  expect_restored_run_continues_alike([](const StateDict& p) {
    return std::make_unique<Sgd>(std::vector{ParameterGroup{p, {}}},
                                 SgdOptions{.lr = 0.01, .momentum = 0.9, .dampening = 0.5});
  });
}

TEST(Optimizer, NamesItsStateByParameter) {
  const Tensor a = parameter({1, -2});
  const auto names = [](const Optimizer& optimizer) {
    std::vector<std::string> result;
    for (const auto& [name, tensor] : optimizer.state_dict()) result.push_back(name);
    return result;
  };
  const std::vector<ParameterGroup> groups{{{{"h.a", a}}, {}}};
  EXPECT_THAT(names(Adam(groups, {})), ElementsAre("exp_avg.h.a", "exp_avg_sq.h.a", "updates.h.a"));
  EXPECT_THAT(names(Sgd(groups, {.momentum = 0.9})), ElementsAre("momentum.h.a", "updates.h.a"));
  EXPECT_THAT(names(Sgd(groups, {})), ElementsAre("updates.h.a"));
}

TEST(Optimizer, CountsItsMemoryAsOptimizer) {
  const auto bytes = [] {
    return memory_stats().allocated_bytes[static_cast<size_t>(MemoryKind::kOptimizer)];
  };
  const Tensor w = zeros({512, 512}).set_requires_grad();
  const int64_t before = bytes();
  const AdamW optimizer({{{{"w", w}}, {}}}, {});
  EXPECT_GE(bytes() - before, 2 * w.nbytes());
}

TEST(Optimizer, RefusesWhatItCannotTrain) {
  const Tensor a = parameter({1});
  const auto sgd = [](StateDict p, SgdOptions options = {}, GroupOptions group = {}) {
    return [=] { Sgd({{p, group}}, options); };
  };
  EXPECT_THAT(sgd({}), ThrowsMessage<InvalidArgument>("optimizer: needs at least one parameter"));
  EXPECT_THAT(sgd({{"a", a}, {"a", a}}),
              ThrowsMessage<InvalidArgument>("optimizer: parameter 'a' is given twice"));
  EXPECT_THAT(
      sgd({{"ids", zeros({1}, {DType::kI64})}}),
      ThrowsMessage<InvalidArgument>("optimizer: parameter 'ids' must be floating, got i64[1]"));
  EXPECT_THAT(sgd({{"t", square(a)}}),
              ThrowsMessage<InvalidArgument>(HasSubstr(
                  "parameter 't' must be a leaf, got the result of an op, f64[1]; use detach()")));
  EXPECT_THAT(sgd({{"w", views::transpose(zeros({2, 3}), 0, 1)}}),
              ThrowsMessage<InvalidArgument>(
                  HasSubstr("parameter 'w' must be contiguous, got strides [1, 3] for [3, 2]")));
  EXPECT_THAT(sgd({{"u", Tensor()}}),
              ThrowsMessage<InvalidArgument>("optimizer: parameter 'u' is undefined"));
  EXPECT_THAT(sgd({{"a", a}}, {.lr = -1}), ThrowsMessage<InvalidArgument>(HasSubstr("got -1")));
  EXPECT_THAT(sgd({{"a", a}}, {.lr = std::nan("")}),
              ThrowsMessage<InvalidArgument>(HasSubstr("lr must be finite")));
  EXPECT_THAT(sgd({{"a", a}}, {}, {.weight_decay = -0.1}),
              ThrowsMessage<InvalidArgument>(HasSubstr("must not be negative, got -0.1")));
  EXPECT_THAT(sgd({{"a", a}}, {.momentum = 1.0}),
              ThrowsMessage<InvalidArgument>("sgd: momentum must be in [0, 1), got 1"));
  EXPECT_THAT(sgd({{"a", a}}, {.nesterov = true}),
              ThrowsMessage<InvalidArgument>(HasSubstr("nesterov needs momentum")));
  EXPECT_THAT(
      [&] {
        Adam({{{{"a", a}}, {}}}, {.beta2 = 1.0});
      },
      ThrowsMessage<InvalidArgument>("adam: betas must be in [0, 1), got 0.9 and 1"));
}

TEST(Optimizer, TakesOneFactorForAllGradients) {
  const Tensor w = ones({2}).set_requires_grad();
  Sgd optimizer({{{{"w", w}}, {}}}, {.lr = 1});
  backward(sum(w));
  const auto refuses = [&](const Tensor& factor, const char* got) {
    EXPECT_THAT([&] { optimizer.step(factor); },
                ThrowsMessage<InvalidArgument>(
                    std::string("optimizer: grad_factor must be one f64 number, got ") + got));
  };
  refuses(ones({2}, {DType::kF64}), "f64[2]");
  refuses(ones({}), "f32[]");
  EXPECT_EQ(w.to_vector<float>()[0], 1);
}

}  // namespace
}  // namespace trireme

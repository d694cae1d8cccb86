#include "core/optim/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/optim/schedule_chain.h"

namespace trireme {
namespace {

using ::testing::ThrowsMessage;

// Rates that torch.optim.lr_scheduler gives (tests/golden/make_optimizers.py).
nlohmann::json golden() {
  std::ifstream file(TRIREME_GOLDEN_DIR "/optimizers.json");
  return nlohmann::json::parse(file);
}
std::vector<double> golden_rates(const char* name) {
  return golden().at("schedules").at(name).get<std::vector<double>>();
}

TEST(CosineSchedule, IsTorchs) {
  const auto rates = golden_rates("cosine");
  ASSERT_EQ(rates.size(), 10u);
  const CosineSchedule schedule{.lr = 0.4, .min_lr = 0.05, .steps = 10};
  for (size_t i = 0; i < rates.size(); ++i) {
    EXPECT_NEAR(schedule.at(static_cast<int64_t>(i)), rates[i], 1e-12);
  }
}

TEST(CosineSchedule, WarmsUpLinearlyAndEndsAtTheLeast) {
  const CosineSchedule schedule{.lr = 1, .min_lr = 0.1, .warmup = 4, .steps = 12};
  EXPECT_DOUBLE_EQ(schedule.at(0), 0.25);
  EXPECT_DOUBLE_EQ(schedule.at(3), 1);
  EXPECT_DOUBLE_EQ(schedule.at(4), 1);
  EXPECT_DOUBLE_EQ(schedule.at(8), 0.55);  // half way down
  EXPECT_DOUBLE_EQ(schedule.at(12), 0.1);
  EXPECT_DOUBLE_EQ(schedule.at(1000), 0.1);
}

TEST(CosineSchedule, MayBeAllWarmUp) {
  const CosineSchedule schedule{.lr = 1, .warmup = 10, .steps = 5};
  EXPECT_DOUBLE_EQ(schedule.at(4), 0.5);
  EXPECT_DOUBLE_EQ(schedule.at(9), 1);
}

TEST(ConstantSchedule, StaysAfterItsWarmUp) {
  const ConstantSchedule schedule{.lr = 2, .warmup = 2};
  EXPECT_DOUBLE_EQ(schedule.at(0), 1);
  EXPECT_DOUBLE_EQ(schedule.at(1), 2);
  EXPECT_DOUBLE_EQ(schedule.at(100000), 2);
}

template <typename S>
void expect_golden(const char* name, const S& schedule) {
  const auto rates = golden_rates(name);
  ASSERT_GE(rates.size(), 10u);
  for (size_t i = 0; i < rates.size(); ++i) {
    EXPECT_NEAR(schedule.at(static_cast<int64_t>(i)), rates[i], 1e-12) << name << " step " << i;
  }
}

TEST(LinearSchedule, IsTorchs) {
  expect_golden("linear", LinearSchedule{.lr = 0.4, .min_lr = 0.1, .steps = 6});
}
TEST(LinearSchedule, FallsFromTheEndOfItsWarmUp) {
  const LinearSchedule schedule{.lr = 1, .warmup = 2, .steps = 6};
  const double want[] = {0.5, 1, 1, 0.75, 0.5, 0.25, 0, 0};
  for (int64_t i = 0; i < 8; ++i) EXPECT_DOUBLE_EQ(schedule.at(i), want[i]) << i;
}

TEST(InverseSqrtSchedule, IsItsFormula) {
  expect_golden("inverse_sqrt", InverseSqrtSchedule{.lr = 0.4, .warmup = 4});
  EXPECT_DOUBLE_EQ((InverseSqrtSchedule{.lr = 2}.at(3)), 1);
}

TEST(OneCycleSchedule, IsTorchs) {
  expect_golden("one_cycle", OneCycleSchedule{.lr = 0.4, .steps = 12});
  expect_golden("one_cycle_linear", OneCycleSchedule{.lr = 0.4,
                                                     .steps = 10,
                                                     .warm_part = 0.5,
                                                     .rise = 8,
                                                     .fall = 20,
                                                     .shape = OneCycleSchedule::Shape::kLinear});
}
TEST(OneCycleSchedule, StaysAtItsEndAndHasNoEdges) {
  EXPECT_DOUBLE_EQ((OneCycleSchedule{.lr = 1, .steps = 5, .rise = 2, .fall = 4}.at(100)), 0.125);
  EXPECT_DOUBLE_EQ((OneCycleSchedule{.lr = 1, .steps = 5, .warm_part = 0}.at(0)), 1);
  EXPECT_DOUBLE_EQ((OneCycleSchedule{.lr = 1, .steps = 5, .warm_part = 1}.at(4)), 1);
  EXPECT_TRUE(std::isfinite(OneCycleSchedule{.lr = 1, .steps = 1}.at(0)));
  EXPECT_THROW((void)OneCycleSchedule{.steps = 0}.at(0), InvalidArgument);
  EXPECT_THROW((void)OneCycleSchedule{.warm_part = 2}.at(0), InvalidArgument);
  EXPECT_THROW((void)OneCycleSchedule{.fall = 0}.at(0), InvalidArgument);
}

TEST(SequentialSchedule, IsTorchs) {
  expect_golden("sequential",
                SequentialSchedule({{ConstantSchedule{.lr = 0.04}, 2},
                                    {StepSchedule{.lr = 0.4, .every = 1, .gamma = 0.9}, 0}}));
  EXPECT_THAT([] { SequentialSchedule({}); },
              ThrowsMessage<InvalidArgument>("sequential schedule: needs at least one stage"));
}
TEST(ChainedSchedule, IsTorchs) {
  expect_golden("chained", ChainedSchedule({StepSchedule{.lr = 0.4, .every = 3, .gamma = 0.5},
                                            LinearSchedule{.lr = 0.25, .min_lr = 1, .steps = 4}}));
  EXPECT_THROW(ChainedSchedule({}), InvalidArgument);
}
TEST(WarmupSchedule, RisesToTheBeginningOfAnother) {
  const WarmupSchedule schedule(StepSchedule{.lr = 0.4, .every = 2, .gamma = 0.5}, 4);
  const double want[] = {0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.2, 0.2, 0.1};
  for (int64_t i = 0; i < 9; ++i) EXPECT_NEAR(schedule.at(i), want[i], 1e-15) << i;
  EXPECT_DOUBLE_EQ(WarmupSchedule(ConstantSchedule{.lr = 3}, 0).at(0), 3);
  EXPECT_THROW(WarmupSchedule(ConstantSchedule{}, -1), InvalidArgument);
  // Inside one another.
  const SequentialSchedule twice({{schedule, 6}, {schedule, 6}});
  EXPECT_DOUBLE_EQ(twice.at(6), 0.1);
}

TEST(StepSchedule, IsTorchs) {
  const auto rates = golden_rates("step");
  ASSERT_EQ(rates.size(), 10u);
  const StepSchedule schedule{.lr = 0.4, .every = 3, .gamma = 0.5};
  for (size_t i = 0; i < rates.size(); ++i) {
    EXPECT_NEAR(schedule.at(static_cast<int64_t>(i)), rates[i], 1e-15);
  }
  EXPECT_THAT([] { (void)StepSchedule{.every = 0}.at(1); },
              ThrowsMessage<InvalidArgument>("step schedule: every must be at least 1, got 0"));
}

TEST(PlateauSchedule, IsTorchs) {
  const auto rates = golden_rates("plateau");
  const auto losses = golden().at("plateau_losses");
  PlateauSchedule schedule{
      .lr = 0.4, .factor = 0.5, .patience = 2, .threshold = 1e-3, .min_lr = 0.1};
  ASSERT_EQ(rates.size(), losses.size());
  for (size_t i = 0; i < rates.size(); ++i) {
    EXPECT_NEAR(schedule.lr, rates[i], 1e-15) << "before measurement " << i;
    schedule.observe(losses[i].is_null() ? std::nan("") : losses[i].get<double>());
  }
  EXPECT_EQ(schedule.lr, 0.1);
}

TEST(PlateauSchedule, MeasuresNegativeLossesToo) {
  PlateauSchedule schedule{.lr = 1, .patience = 0, .threshold = 0.01};
  EXPECT_EQ(schedule.observe(-10), 1);
  EXPECT_EQ(schedule.observe(-11), 1);
  EXPECT_EQ(schedule.observe(-10.95), 0.1);  // worse, though above 0.99 * -11
}

TEST(PlateauSchedule, WarmsUp) {
  PlateauSchedule schedule{.lr = 1, .factor = 0.5, .patience = 0, .warmup = 4};
  EXPECT_DOUBLE_EQ(schedule.at(1), 0.5);
  EXPECT_DOUBLE_EQ(schedule.at(4), 1);
  schedule.observe(1);
  schedule.observe(1);
  EXPECT_DOUBLE_EQ(schedule.at(1), 0.25);
  EXPECT_DOUBLE_EQ(schedule.at(100), 0.5);
}

TEST(PlateauSchedule, NeverRaisesTheRate) {
  PlateauSchedule schedule{.lr = 1e-4, .patience = 0, .min_lr = 1e-3};
  schedule.observe(1);
  EXPECT_EQ(schedule.observe(2), 1e-4);
  EXPECT_THROW((PlateauSchedule{.factor = 1.5}.observe(1)), InvalidArgument);
  EXPECT_THROW((PlateauSchedule{.patience = -1}.observe(1)), InvalidArgument);
}

TEST(PlateauSchedule, ACopyOfItsFieldsContinuesAlike) {
  PlateauSchedule schedule{.lr = 1, .factor = 0.5, .patience = 1};
  schedule.observe(1);
  schedule.observe(2);
  PlateauSchedule restored{.factor = 0.5, .patience = 1};
  restored.lr = schedule.lr;
  restored.best = schedule.best;
  restored.bad = schedule.bad;
  EXPECT_EQ(schedule.observe(3), 0.5);
  EXPECT_EQ(restored.observe(3), 0.5);
}

}  // namespace
}  // namespace trireme

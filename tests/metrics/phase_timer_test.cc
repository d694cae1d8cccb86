#include "core/metrics/phase_timer.h"

#include <gtest/gtest.h>

#include <numeric>

namespace trireme {
namespace {

double sum(const StepStats& stats) {
  return std::accumulate(stats.phase_seconds.begin(), stats.phase_seconds.end(), 0.0);
}

/// Spends a little of every clock's time.
void spend_time() {
  const auto start = StepTimer::Clock::now();
  while (StepTimer::Clock::now() - start < std::chrono::microseconds(50)) {
  }
}

TEST(StepTimer, PhasesAddUpToTheDurationOfTheStep) {
  StepStats stats;
  StepTimer timer(stats);
  timer.begin_step();
  const double before = sum(stats);
  {
    const auto forward = timer.phase(Phase::kForward);
    spend_time();
  }
  {
    const auto backward = timer.phase(Phase::kBackward);
    spend_time();
    const auto wait = timer.phase(Phase::kCommExposed);
    spend_time();
  }
  spend_time();
  const double duration = timer.end_step();
  EXPECT_NEAR(sum(stats) - before, duration, 1e-9);
  EXPECT_EQ(stats.step_duration_sum_seconds, duration);
  EXPECT_EQ(stats.steps, 1);
  EXPECT_GT(stats.last_step_unix_seconds, 1.6e9);
  for (const Phase phase :
       {Phase::kForward, Phase::kBackward, Phase::kCommExposed, Phase::kOther}) {
    EXPECT_GT(stats.seconds_in(phase), 0) << kPhaseNames[static_cast<size_t>(phase)];
  }
  EXPECT_EQ(stats.seconds_in(Phase::kOptimizer), 0);
}

TEST(StepTimer, ReassignsAtMostWhatThePhaseGainedInThisStep) {
  StepStats stats;
  StepTimer timer(stats);
  stats.seconds_in(Phase::kBackward) = 100;  // of earlier steps: published, must not fall
  timer.begin_step();
  stats.seconds_in(Phase::kBackward) += 3;
  timer.reassign(Phase::kBackward, Phase::kCommExposed, 1);
  EXPECT_EQ(stats.seconds_in(Phase::kBackward), 102);
  EXPECT_EQ(stats.seconds_in(Phase::kCommExposed), 1);
  timer.reassign(Phase::kBackward, Phase::kCommExposed, 10);
  EXPECT_EQ(stats.seconds_in(Phase::kBackward), 100);
  EXPECT_EQ(stats.seconds_in(Phase::kCommExposed), 3);
  timer.reassign(Phase::kCommExposed, Phase::kBackward, -1);
  EXPECT_EQ(stats.seconds_in(Phase::kCommExposed), 3);
}

TEST(StepStats, CountsDurationsInTheBucketWhoseBoundTheyDoNotExceed) {
  StepStats stats;
  stats.count_step_duration(0.0005);
  stats.count_step_duration(0.001);
  stats.count_step_duration(0.0011);
  stats.count_step_duration(131.072);
  stats.count_step_duration(1000);
  EXPECT_EQ(stats.step_duration_counts[0], 2);
  EXPECT_EQ(stats.step_duration_counts[1], 1);
  EXPECT_EQ(stats.step_duration_counts[kStepBuckets - 1], 1);
  EXPECT_EQ(stats.step_duration_counts[kStepBuckets], 1);
}

}  // namespace
}  // namespace trireme

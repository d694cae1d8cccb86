#include "core/optim/schedule_chain.h"

#include "core/base/error.h"

namespace trireme {

WarmupSchedule::WarmupSchedule(Schedule schedule, int64_t warmup)
    : schedule_(std::move(schedule)), warmup_(warmup) {
  require(warmup >= 0, "warm-up schedule", "warmup must not be negative, got ", warmup);
}

double WarmupSchedule::at(int64_t step) const {
  if (step >= warmup_) return schedule_.at(step - warmup_);
  return schedule_.at(0) * static_cast<double>(step + 1) / static_cast<double>(warmup_);
}

SequentialSchedule::SequentialSchedule(std::vector<Stage> stages) : stages_(std::move(stages)) {
  require(!stages_.empty(), "sequential schedule", "needs at least one stage");
  for (const Stage& stage : stages_) {
    require(stage.steps >= 0, "sequential schedule", "steps must not be negative, got ",
            stage.steps);
  }
}

double SequentialSchedule::at(int64_t step) const {
  size_t i = 0;
  for (; i + 1 < stages_.size() && step >= stages_[i].steps; ++i) step -= stages_[i].steps;
  return stages_[i].schedule.at(step);
}

ChainedSchedule::ChainedSchedule(std::vector<Schedule> factors) : factors_(std::move(factors)) {
  require(!factors_.empty(), "chained schedule", "needs at least one schedule");
}

double ChainedSchedule::at(int64_t step) const {
  double lr = 1;
  for (const Schedule& factor : factors_) lr *= factor.at(step);
  return lr;
}

}  // namespace trireme

// Schedules made of schedules.
//
//   const SequentialSchedule lr({{WarmupSchedule(StepSchedule{.lr = 0.1, .every = 30}, 5), 90},
//                                {ConstantSchedule{.lr = 1e-4}, 10}});
//   optimizer.set_lr(lr.at(step));

#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <vector>

namespace trireme {

/// Any schedule: a value with at(step). Copied as it is, so one with state (PlateauSchedule) stays
/// at the state that it had.
class Schedule {
 public:
  template <typename S>
  requires requires(const S& s) {
    { s.at(int64_t{}) } -> std::convertible_to<double>;
  }
  Schedule(S schedule)  // NOLINT: every schedule is one
      : at_([schedule](int64_t step) { return schedule.at(step); }) {}
  double at(int64_t step) const { return at_(step); }

 private:
  std::function<double(int64_t)> at_;
};

/// A linear rise over `warmup` steps to what `schedule` begins with, then `schedule` from its
/// start.
class WarmupSchedule {
 public:
  WarmupSchedule(Schedule schedule, int64_t warmup);
  double at(int64_t step) const;

 private:
  Schedule schedule_;
  int64_t warmup_;
};

/// One schedule after another, each from its own step 0; the last goes on for ever.
class SequentialSchedule {
 public:
  struct Stage {
    Schedule schedule;
    int64_t steps;  // of the last: not looked at
  };
  /// Requires at least one stage, steps >= 0.
  explicit SequentialSchedule(std::vector<Stage> stages);
  double at(int64_t step) const;

 private:
  std::vector<Stage> stages_;
};

/// The product: one schedule gives the learning rate, the others (with lr = 1) factors of it.
class ChainedSchedule {
 public:
  explicit ChainedSchedule(std::vector<Schedule> factors);
  double at(int64_t step) const;

 private:
  std::vector<Schedule> factors_;
};

}  // namespace trireme

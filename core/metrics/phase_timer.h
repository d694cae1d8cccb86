// Splits a training thread's time into phases.
//
//   StepTimer timer(page.stats());
//   timer.begin_step();
//   {
//     const auto scope = timer.phase(Phase::kForward);
//     ...
//   }
//   timer.end_step();  // counts the step and its duration
//
// Every instant belongs to exactly one phase: an inner scope takes its time from the outer one, and
// time outside any scope is kOther. Two clock readings per scope, about 0.1 us; no allocation. Used
// by one thread.

#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "core/base/trace_range.h"
#include "core/metrics/step_stats.h"

namespace trireme {

class StepTimer {
 public:
  using Clock = std::chrono::steady_clock;

  /// `stats` is where time is added; it must outlive the timer.
  explicit StepTimer(StepStats& stats) : stats_(stats), mark_(Clock::now()), step_start_(mark_) {}

  /// Ends when it goes out of scope; the phase before it then goes on.
  class Scope {
   public:
    Scope(StepTimer& timer, Phase phase)
        : range_(kPhaseNames[static_cast<size_t>(phase)]),
          timer_(timer),
          outer_(timer.enter(phase)) {}
    ~Scope() { timer_.enter(outer_); }
    Scope(const Scope&) = delete;

   private:
    const TraceRange range_;  // profilers see the same phases
    StepTimer& timer_;
    const Phase outer_;
  };
  [[nodiscard]] Scope phase(Phase phase) { return Scope(*this, phase); }

  void begin_step() {
    enter(current_);
    step_start_ = mark_;
    at_begin_ = stats_.phase_seconds;
  }

  /// Counts the step with its duration since begin_step(), which it returns in seconds, and brings
  /// phase_seconds up to now.
  double end_step() {
    enter(current_);
    const double seconds = std::chrono::duration<double>(mark_ - step_start_).count();
    ++stats_.steps;
    stats_.count_step_duration(seconds);
    stats_.last_step_unix_seconds =
        std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    return seconds;
  }

  /// Counts `seconds` of phase `from` under `to` instead; for time another part has measured, such
  /// as exposed communication inside backward. Takes at most what `from` gained since begin_step(),
  /// so that no published counter falls. Call it before the step is published.
  void reassign(Phase from, Phase to, double seconds) {
    const double gained = stats_.seconds_in(from) - at_begin_[static_cast<size_t>(from)];
    const double taken = std::clamp(seconds, 0.0, std::max(0.0, gained));
    stats_.seconds_in(from) -= taken;
    stats_.seconds_in(to) += taken;
  }

 private:
  Phase enter(Phase next) {
    const Clock::time_point now = Clock::now();
    stats_.seconds_in(current_) += std::chrono::duration<double>(now - mark_).count();
    mark_ = now;
    return std::exchange(current_, next);
  }

  StepStats& stats_;
  Phase current_ = Phase::kOther;
  Clock::time_point mark_;  // time before it is counted
  Clock::time_point step_start_;
  std::array<double, kPhases> at_begin_{};  // phase_seconds at step_start_
};

}  // namespace trireme

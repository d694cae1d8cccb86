// What one rank reports about its training: counters since the process started and the newest
// values. Plain numbers, so that a copy of it travels through shared memory (stats_page.h) and into
// every sink.

#pragma once

#include <array>
#include <cstdint>

namespace trireme {

/// Where the time of a step goes. Phases are disjoint: their seconds add up to wall time.
enum class Phase : int32_t {
  kDataWait,
  kForward,
  kBackward,
  kCommExposed,  // waiting for collectives that computation did not hide
  kOptimizer,
  kDeviceWait,  // the host waited for a GPU that has more to do than the host
  kCheckpoint,
  kEval,
  kOther,
};
inline constexpr int kPhases = 9;
inline constexpr std::array<const char*, kPhases> kPhaseNames = {
    "data_wait",   "forward",    "backward", "comm_exposed", "optimizer",
    "device_wait", "checkpoint", "eval",     "other"};

/// Kinds of memory, in the order and with the names of MemoryKind in core/base/memory_kind.h.
inline constexpr int kMemoryKindsReported = 7;
inline constexpr std::array<const char*, kMemoryKindsReported> kMemoryKindNames = {
    "other", "parameters", "gradients", "optimizer", "activations", "communication", "workspace"};

/// Upper bounds of the step duration histogram: 1 ms * 2^i, so 1 ms to 131 s. Longer steps count in
/// one more bucket without bound.
inline constexpr int kStepBuckets = 18;
constexpr double step_bucket_bound_seconds(int i) { return 1e-3 * static_cast<double>(1 << i); }

/// A value that may not have been reported yet; NaN is a reported value. Assigning reports it.
struct Reported {
  double value = 0;
  int64_t is_known = 0;

  Reported& operator=(double new_value) {
    value = new_value;
    is_known = 1;
    return *this;
  }
};

struct StepStats {
  // Finished since the process started, by this rank alone.
  int64_t steps = 0;
  int64_t samples = 0;
  int64_t tokens = 0;  // stays 0 where a sample is not made of tokens

  int64_t step = 0;  // number of the last finished step; resuming continues it
  int64_t world_size = 1;
  double last_step_unix_seconds = 0;  // 0 before the first

  std::array<int64_t, kStepBuckets + 1> step_duration_counts{};  // not cumulative
  double step_duration_sum_seconds = 0;
  std::array<double, kPhases> phase_seconds{};

  Reported loss;
  Reported learning_rate;
  Reported gradient_norm;

  int64_t comm_operations = 0;
  int64_t comm_bytes = 0;
  double comm_busy_seconds = 0;
  double comm_exposed_seconds = 0;

  std::array<int64_t, kMemoryKindsReported> memory_allocated_bytes{};
  int64_t memory_reserved_bytes = 0;
  int64_t memory_peak_bytes = 0;
  int64_t resident_bytes = 0;  // resident set size of the process

  int64_t last_checkpoint_step = -1;  // -1 before the first
  double last_checkpoint_unix_seconds = 0;

  double& seconds_in(Phase phase) { return phase_seconds[static_cast<size_t>(phase)]; }

  /// Counts one finished step in the histogram.
  void count_step_duration(double seconds) {
    int bucket = 0;
    while (bucket < kStepBuckets && seconds > step_bucket_bound_seconds(bucket)) ++bucket;
    ++step_duration_counts[static_cast<size_t>(bucket)];
    step_duration_sum_seconds += seconds;
  }
};

}  // namespace trireme

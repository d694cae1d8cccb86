// What a person sees of a training run: a line every few steps, and a bar on a terminal.
//
//   step 120/2000 | loss 2.3456 | lr 9.8e-04 | norm 1.02 | 35.1 ms | 21,900 tok/s | eta 1m05s

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace trireme {

struct ProgressValues {
  int64_t step = 0;  // finished steps
  int64_t total_steps = 0;
  std::optional<double> loss = {};
  std::optional<double> learning_rate = {};
  std::optional<double> gradient_norm = {};
  double step_seconds = 0;   // mean since the last line
  double per_second = 0;     // throughput over all ranks
  const char* unit = "tok";  // what per_second counts: "tok/s"
};

/// The line above, without a newline. The remaining time is (total_steps - step) * step_seconds.
std::string format_progress(const ProgressValues& values);
/// "[=====>    ]  50% step 1000/2000 | eta 1m05s", `columns` wide.
std::string format_progress_bar(const ProgressValues& values, int columns);
/// 21900 -> "21,900"; below 100 with one decimal: "12.3".
std::string format_rate(double per_second);
/// "45s", "1m05s", "2h03m", "3d04h"; "?" if it is not finite.
std::string format_duration(double seconds);

/// True where a bar makes sense: stderr is a terminal that can move the cursor, and not in CI.
bool terminal_wants_bar();

/// Prints to stderr, for rank 0; the others have no reporter. Used by one thread.
class ProgressReporter {
 public:
  enum class Bar { kNo, kYes };
  explicit ProgressReporter(Bar bar = terminal_wants_bar() ? Bar::kYes : Bar::kNo) : bar_(bar) {}
  ~ProgressReporter() { clear_bar(); }
  ProgressReporter(const ProgressReporter&) = delete;

  /// A line that stays.
  void print_line(const ProgressValues& values);
  /// Moves the bar, if there is one; at most ten times a second, so it may be called every step.
  void move_bar(const ProgressValues& values);
  /// Removes the bar; call it before anything else writes to the terminal.
  void clear_bar();

 private:
  const Bar bar_;
  bool is_bar_shown_ = false;
  std::chrono::steady_clock::time_point next_draw_{};
};

}  // namespace trireme
